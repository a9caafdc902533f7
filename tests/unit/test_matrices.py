"""Padded matrices against a naive implementation, row by row."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.batching import PaddedLayout, Rows
from serving.batching.rows import take

INPUTS = ("attention_mask", "input_ids", "pooling_mask", "position_ids", "token_type_ids")
PAD = 1

row = st.lists(st.integers(0, 9), min_size=1, max_size=12)


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[list[int]], list[int] | None, list[int] | None]:
    rows = draw(st.lists(row, min_size=1, max_size=6))
    begins = st.tuples(*(st.integers(0, len(ids)) for ids in rows)).map(list)
    return rows, draw(st.none() | begins), draw(st.none() | begins)


def rows_of(ids: Sequence[list[int]], second: list[int] | None, pooled: list[int] | None) -> Rows:
    columns = [None if column is None else np.array(column, np.int32) for column in (second, pooled)]
    flat = np.array([token for one in ids for token in one], np.int32)
    return Rows(flat, np.array([len(one) for one in ids], np.int32), *columns)


@given(st.lists(requests(), min_size=1, max_size=5), st.sampled_from([0, PAD + 1]))
@settings(deadline=None, max_examples=60)
def test_every_input_against_a_naive_one(
    parts: list[tuple[list[list[int]], list[int] | None, list[int] | None]], offset: int
) -> None:
    batch = PaddedLayout(INPUTS, PAD, offset).batch([rows_of(*part) for part in parts])
    longest = max(len(ids) for rows, _, _ in parts for ids in rows)
    assert tuple(batch.arrays) == INPUTS
    assert batch.rows == sum(len(rows) for rows, _, _ in parts)
    assert batch.computed == batch.rows * longest
    assert batch.tokens == sum(len(ids) for rows, _, _ in parts for ids in rows)
    assert all(array.dtype == np.int32 and array.flags.c_contiguous for array in batch.arrays.values())
    at = 0
    for rows, second, pooled in parts:
        for number, ids in enumerate(rows):
            expected = naive(ids, longest, offset, at_row(second, number), at_row(pooled, number))
            assert {name: array[at].tolist() for name, array in batch.arrays.items()} == expected
            at += 1


def at_row(column: list[int] | None, number: int) -> int | None:
    return None if column is None else column[number]


def naive(ids: list[int], longest: int, offset: int, second: int | None, pooled: int | None) -> dict[str, list[int]]:
    def filled(values: list[int], rest: int) -> list[int]:
        return values + [rest] * (longest - len(values))

    def begun(first: int) -> list[int]:
        return [int(position >= first) for position in range(len(ids))]

    return {
        "attention_mask": filled([1] * len(ids), 0),
        "input_ids": filled(ids, PAD),
        "pooling_mask": filled(begun(0 if pooled is None else pooled), 0),
        "position_ids": filled(positions(ids, offset), max(0, offset - 1)),
        "token_type_ids": filled(begun(longest if second is None else second), 0),
    }


def positions(ids: list[int], offset: int) -> list[int]:
    """RoBERTa and its kin do not count pad tokens, also those that the text itself has."""
    if offset == 0:
        return list(range(len(ids)))
    found, count = [], 0
    for token in ids:
        count += token != PAD
        found.append(offset - 1 + count if token != PAD else offset - 1)
    return found


@given(requests(), st.data())
@settings(deadline=None, max_examples=40)
def test_take_and_part(made: tuple[list[list[int]], list[int] | None, list[int] | None], data: st.DataObject) -> None:
    ids, second, pooled = made
    order = data.draw(st.permutations(range(len(ids))))
    taken = take(rows_of(*made), np.array(order))
    wanted = rows_of(
        [ids[i] for i in order],
        None if second is None else [second[i] for i in order],
        None if pooled is None else [pooled[i] for i in order],
    )
    assert_same(taken, wanted)
    first = data.draw(st.integers(0, len(ids) - 1))
    begin = sum(len(ids[i]) for i in order[:first])
    assert_same(taken.part(first, len(ids), begin, taken.tokens), take(wanted, np.arange(first, len(ids))))


def assert_same(one: Rows, other: Rows) -> None:
    for name in ("ids", "lengths", "second_starts", "pooled_starts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_padded_to_a_length_that_the_engine_is_given() -> None:
    rows = Rows(np.arange(1, 6, dtype=np.int32), np.array([2, 3], np.int32))
    batch = PaddedLayout(("input_ids", "attention_mask"), PAD, lengths=(2, 4, 8)).batch([rows])
    assert batch.computed == 2 * 4
    assert batch.arrays["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0]]
    assert batch.tokens == 5


def test_longer_than_every_given_length() -> None:
    rows = Rows(np.arange(1, 6, dtype=np.int32), np.array([5], np.int32))
    assert PaddedLayout(("input_ids",), PAD, lengths=(2, 4)).batch([rows]).arrays["input_ids"].shape == (1, 5)
