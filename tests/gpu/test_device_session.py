"""One copy in, one copy out, CUDA graphs for small batches: on a GPU, and the same steps with the memory of a CPU."""

import numpy as np
import pytest

from export import engine
from tests.gpu.conftest import PackedModel

BATCHES = [(0,), (1, 2), (4, 0, 3, 1), tuple(range(12)), tuple(range(12)) * 3]


def test_equals_the_reference(packed: PackedModel, device: str) -> None:
    """Also when graphs are computed again with other texts, and after a larger batch took the memory."""
    session = packed.open(device)
    for rows in BATCHES * 2:
        batch = packed.batch(*rows)
        (found,) = session.run(["vectors"], batch.arrays)
        assert found.shape == (len(rows), packed.record.dimensions)
        assert np.abs(found - packed.expected(batch)["vectors"]).max() <= 1e-5


def test_what_was_answered_stays(packed: PackedModel, device: str) -> None:
    """Memory is used again; what went out must not change with it."""
    session = packed.open(device)
    for rows in ((0, 1), tuple(range(12)) * 3):
        batch, other = packed.batch(*rows), packed.batch(*rows[::-1])
        (first,) = session.run(["vectors"], batch.arrays)
        kept = first.copy()
        session.run(["vectors"], other.arrays)
        np.testing.assert_array_equal(first, kept)


def test_a_graph_for_each_number_of_tokens(packed: PackedModel, device: str) -> None:
    session, sizes = packed.open(device), set()
    for rows in BATCHES * 2:
        batch = packed.batch(*rows)
        session.run(["vectors"], batch.arrays)
        if engine.runner("device_session").small(batch.arrays):
            sizes.add(batch.computed)
    assert set(session._captured) == sizes
    assert packed.batch(*BATCHES[-1]).computed not in sizes


class Refusing:
    """A session whose graphs can't be captured; everything else is `real`'s."""

    def __init__(self, real: object, text: str) -> None:
        self._real, self._text = real, text

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def run_with_iobinding(self, binding: object, options: object) -> None:
        if options.get_run_config_entry("gpu_graph_id") != "-1":  # type: ignore[attr-defined]
            raise RuntimeError(self._text)
        self._real.run_with_iobinding(binding, options)  # type: ignore[attr-defined]


def test_without_graphs_where_they_fail(packed: PackedModel, device: str) -> None:
    session, batch = packed.open(device), packed.batch(0)
    session.session = Refusing(session.session, "operation not permitted when stream is capturing")
    for _ in range(2):
        (found,) = session.run(["vectors"], batch.arrays)
        assert np.abs(found - packed.expected(batch)["vectors"]).max() <= 1e-5
    assert not session.graphs


def test_memory_that_lacks_is_no_reason_against_graphs(packed: PackedModel, device: str) -> None:
    session = packed.open(device)
    session.session = Refusing(session.session, "CUDA failure 2: out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        session.run(["vectors"], packed.batch(0).arrays)
    assert session.graphs
