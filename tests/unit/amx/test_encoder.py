"""The layers as the operator for AMX computes them: against torch, and a row against itself in other company."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.amx import library
from tests.unit.amx.few_layers import FewLayers, Floats, Sizes

pytestmark = pytest.mark.skipif(bool(library.refusal()), reason=library.refusal())

MINILM = Sizes(hidden=384, heads=12, head=32, inner=1536)
SHAPES = [
    pytest.param(MINILM, id="minilm"),
    pytest.param(Sizes(hidden=768, heads=12, head=64, inner=3072), id="base"),
    pytest.param(Sizes(hidden=64, heads=4, head=16, inner=128), id="heads-of-16"),
    pytest.param(Sizes(hidden=96, heads=1, head=96, inner=416), id="head-of-96-and-odd-units"),
]
# Numbers after normalisation are about 1; bf16 has 8 bits of them, three roundings follow one another.
ALLOWED = 0.06
# A sequence of one token; 15 to 17 and 31 to 33 around a tile; one longer than a group of sequences.
LENGTHS = [[1], [5, 1, 16, 17], [15, 31, 32, 33, 2], [400, 117], [64] * 9, [545]]


def hidden_of(tokens: int, width: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((tokens, width)).astype(np.float32)


def ends_of(lengths: list[int]) -> list[int]:
    return [0, *np.cumsum(lengths).tolist()]


@pytest.fixture(name="minilm", scope="module")
def _minilm(tmp_path_factory: pytest.TempPathFactory) -> FewLayers:
    return FewLayers(MINILM, tmp_path_factory.mktemp("minilm"))


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("sizes", SHAPES)
def test_equals_torch(sizes: Sizes, first_only: bool, layers: int, tmp_path: Path) -> None:
    encoder = FewLayers(sizes, tmp_path, first_only, layers=layers)
    for lengths in LENGTHS:
        ends = ends_of(lengths)
        hidden = hidden_of(ends[-1], sizes.hidden)
        found, expected = encoder(hidden, ends), encoder.expected(hidden, ends)
        assert found.shape == expected.shape
        allowed = ALLOWED * layers**0.5  # their roundings know nothing of one another
        assert np.abs(found - expected).max() < allowed
        assert np.abs(found - expected).mean() < allowed / 10


@given(st.lists(st.integers(1, 70), min_size=1, max_size=12), st.integers(0, 11))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_a_sequence_is_the_same_to_the_bit_in_any_batch(minilm: FewLayers, lengths: list[int], which: int) -> None:
    which %= len(lengths)
    ends = ends_of(lengths)
    hidden = hidden_of(ends[-1], MINILM.hidden, seed=sum(lengths))
    own = slice(ends[which], ends[which + 1])
    alone = minilm(np.ascontiguousarray(hidden[own]), [0, lengths[which]])
    np.testing.assert_array_equal(minilm(hidden, ends)[own], alone)


def test_the_first_tokens_are_those_of_the_whole(minilm: FewLayers, tmp_path: Path) -> None:
    ends = ends_of([40, 3, 200, 250, 1])
    hidden = hidden_of(ends[-1], MINILM.hidden)
    np.testing.assert_array_equal(
        FewLayers(MINILM, tmp_path, first_only=True)(hidden, ends), minilm(hidden, ends)[ends[:-1]]
    )


def test_threads_change_nothing(minilm: FewLayers, tmp_path: Path) -> None:
    ends = ends_of([170] * 12)
    hidden = hidden_of(ends[-1], MINILM.hidden)
    np.testing.assert_array_equal(FewLayers(MINILM, tmp_path, threads=2)(hidden, ends), minilm(hidden, ends))


def test_large_scores_and_what_follows_them_stay_numbers(minilm: FewLayers) -> None:
    hidden = 300 * hidden_of(50, MINILM.hidden)
    found = minilm(hidden, [0, 50])
    assert np.isfinite(found).all()
    assert np.abs(found - minilm.expected(hidden, [0, 50])).mean() < ALLOWED


@pytest.mark.parametrize("ends", [[0, 3, 3, 5], [1, 5], [0, 4], [0], [0, 6, 5]])
def test_ends_that_do_not_fit_are_refused(minilm: FewLayers, ends: list[int]) -> None:
    with pytest.raises(Exception, match="cu_seqlens must rise from 0 to the tokens"):
        minilm(hidden_of(5, MINILM.hidden), ends)


def test_a_wrong_width_is_refused(minilm: FewLayers) -> None:
    with pytest.raises(Exception, match="hidden is not as wide as its weights|Got invalid dimensions"):
        minilm(hidden_of(5, 64), [0, 5])
