"""Packed arrays: against a naive implementation and against the padded layout, which has its own tests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.batching import PackedLayout, PaddedLayout, Rows
from serving.batching.packing import bucket
from tests.unit.test_matrices import PAD, requests, rows_of

INPUTS = ("input_ids", "position_ids", "token_type_ids", "token_offset", "cu_seqlens", "row_numbers", "token_rows")
PER_TOKEN = ("input_ids", "position_ids", "token_type_ids")
LAYOUT = PackedLayout(INPUTS, PAD)

several = st.lists(requests(), min_size=1, max_size=5).map(lambda made: [rows_of(*one) for one in made])


@given(several, st.sampled_from([0, PAD + 1]))
@settings(deadline=None, max_examples=60)
def test_each_row_is_that_of_the_padded_layout(parts: list[Rows], offset: int) -> None:
    packed = PackedLayout(INPUTS, PAD, offset).batch(parts)
    padded = PaddedLayout(PER_TOKEN, PAD, offset).batch(parts)
    assert tuple(packed.arrays) == INPUTS
    assert (packed.rows, packed.tokens) == (padded.rows, padded.tokens)
    assert all(array.dtype == np.int32 and array.flags.c_contiguous for array in packed.arrays.values())
    ends = packed.arrays["cu_seqlens"]
    for name in PER_TOKEN:
        for row, number in enumerate(packed.arrays["row_numbers"]):
            found = packed.arrays[name][ends[number] : ends[number + 1]]
            assert found.tolist() == padded.arrays[name][row, : packed.lengths[row]].tolist()


@given(several)
@settings(deadline=None, max_examples=60)
def test_round_trip(parts: list[Rows]) -> None:
    batch = LAYOUT.batch(parts)
    lengths = np.concatenate([part.lengths for part in parts])
    per_token = batch.arrays["input_ids"].astype(np.float32)
    np.testing.assert_array_equal(LAYOUT.unpack(per_token, lengths), np.concatenate([part.ids for part in parts]))
    np.testing.assert_array_equal(np.diff(batch.arrays["cu_seqlens"])[batch.arrays["row_numbers"]], lengths)


@given(several)
@settings(deadline=None, max_examples=60)
def test_sequences_follow_each_other(parts: list[Rows]) -> None:
    batch = LAYOUT.batch(parts)
    ends, rows = batch.arrays["cu_seqlens"], batch.arrays["token_rows"]
    assert ends[0] == 0
    assert ends[-1] == batch.computed == len(batch.arrays["input_ids"]) == len(rows)
    assert (np.diff(ends) > 0).all()
    assert rows.tolist() == [sequence for sequence, length in enumerate(np.diff(ends)) for _ in range(length)]
    assert batch.arrays["row_numbers"].tolist() == list(range(batch.rows))


@given(several)
@settings(deadline=None, max_examples=60)
def test_padding_is_one_sequence_and_there_only_when_needed(parts: list[Rows]) -> None:
    batch = LAYOUT.batch(parts)
    ends = batch.arrays["cu_seqlens"]
    assert len(ends) - 1 == batch.rows + (batch.tokens != bucket(batch.tokens))
    assert batch.computed == bucket(batch.tokens)
    assert set(batch.arrays["input_ids"][batch.tokens :]) <= {PAD}
    assert not batch.arrays["position_ids"][batch.tokens :].any()
    assert not batch.arrays["token_type_ids"][batch.tokens :].any()


@given(several, st.sampled_from([0, PAD + 1]))
@settings(deadline=None, max_examples=60)
def test_without_steps_nothing_is_padded(parts: list[Rows], offset: int) -> None:
    """All else is as with steps, up to where the padding begins there."""
    exact = PackedLayout(INPUTS, PAD, offset, in_steps=False).batch(parts)
    filled = PackedLayout(INPUTS, PAD, offset).batch(parts)
    assert exact.computed == exact.tokens == sum(part.tokens for part in parts)
    assert len(exact.arrays["cu_seqlens"]) == exact.rows + 1
    for name in (*PER_TOKEN, "token_rows"):
        assert exact.arrays[name].tolist() == filled.arrays[name][: exact.tokens].tolist()
    assert exact.arrays["cu_seqlens"].tolist() == filled.arrays["cu_seqlens"][: exact.rows + 1].tolist()
    assert exact.arrays["row_numbers"].tolist() == filled.arrays["row_numbers"].tolist()


@given(several)
@settings(deadline=None, max_examples=60)
def test_token_offset_names_the_slots_of_a_padded_matrix(parts: list[Rows]) -> None:
    """Tokens in order, then what is left; so says ContribOperators.md of PackedMultiHeadAttention."""
    batch = LAYOUT.batch(parts)
    offset, lengths = batch.arrays["token_offset"], np.diff(batch.arrays["cu_seqlens"]).tolist()
    longest = max(lengths)
    real = [row * longest + place for row, length in enumerate(lengths) for place in range(length)]
    padding = [row * longest + place for row, length in enumerate(lengths) for place in range(length, longest)]
    assert offset.shape == (len(lengths), longest)
    assert offset.ravel().tolist() == real + padding


@given(st.integers(1, 100_000))
def test_buckets(tokens: int) -> None:
    assert bucket(tokens) >= tokens
    assert bucket(bucket(tokens)) == bucket(tokens)
    assert tokens <= 128 or bucket(tokens) < 1.25 * tokens


def test_few_shapes() -> None:
    assert len({bucket(tokens) for tokens in range(1, 16_385)}) < 60


@pytest.mark.parametrize("inputs", [INPUTS[:2], ("input_ids", "position_ids", "cu_seqlens", "row_numbers")])
def test_only_what_the_graph_takes(inputs: tuple[str, ...]) -> None:
    rows = Rows(np.array([5, 6, 7], np.int32), np.array([1, 2], np.int32))
    assert tuple(PackedLayout(inputs, PAD).batch([rows]).arrays) == inputs
