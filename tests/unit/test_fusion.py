"""Reciprocal rank fusion."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fusion import expected, reciprocal_rank_fusion
from gateway.recall import Document, Passage


def test_what_both_lists_have_comes_first() -> None:
    nearest = [Passage(Document(name, ""), cosine=0.5, vector_rank=rank) for rank, name in enumerate("abc", 1)]
    words = [Passage(Document(name, ""), bm25=2.0, text_rank=rank) for rank, name in enumerate("cd", 1)]
    fused = reciprocal_rank_fusion(nearest, words)
    assert [passage.document.id for passage, _ in fused] == ["c", "a", "b", "d"]
    best, score = fused[0]
    assert (best.cosine, best.bm25, best.vector_rank, best.text_rank) == (0.5, 2.0, 3, 1)
    assert score == pytest.approx(1 / 63 + 1 / 61)


def test_ties_are_broken_by_id() -> None:
    nearest = [Passage(Document("z", ""), vector_rank=1)]
    words = [Passage(Document("y", ""), text_rank=1)]
    assert [passage.document.id for passage, _ in reciprocal_rank_fusion(nearest, words)] == ["y", "z"]


def test_empty_lists() -> None:
    assert reciprocal_rank_fusion([], []) == []


@pytest.mark.parametrize(("weight", "order"), [(0.0, "ab"), (0.4, "ab"), (0.6, "ba"), (1.0, "ba")])
def test_the_list_of_more_weight_decides(weight: float, order: str) -> None:
    nearest = [Passage(Document(name, ""), vector_rank=rank) for rank, name in enumerate("ab", 1)]
    words = [Passage(Document(name, ""), text_rank=rank) for rank, name in enumerate("ba", 1)]
    fused = reciprocal_rank_fusion(nearest, words, weight)
    assert "".join(passage.document.id for passage, _ in fused) == order


def joined(nearest: Sequence[str], words: Sequence[str], weight: float) -> list[str]:
    lists = (
        [Passage(Document(name, ""), vector_rank=rank) for rank, name in enumerate(nearest, 1)],
        [Passage(Document(name, ""), text_rank=rank) for rank, name in enumerate(words, 1)],
    )
    return [passage.document.id for passage, _ in reciprocal_rank_fusion(*lists, weight)]


@given(st.data(), st.integers(1, 60), st.floats(0.0, 1.0))
def test_what_is_certain_is_in_the_joined_list(data: st.DataObject, depth: int, weight: float) -> None:
    """Whatever the list of the nearest holds: here first what only it has, then what words found behind the head."""
    words = [f"b{n:03}" for n in range(data.draw(st.integers(0, depth)))]
    head = expected(len(words), depth, weight, overtaking=1.0)
    strangers = [f"a{n:03}" for n in range(depth)]  # in front of the others where scores are equal
    first, left_out = data.draw(st.integers(0, depth)), data.draw(st.integers(0, head))
    shared = data.draw(st.sampled_from([words[left_out:], words[left_out:][::-1], words[:left_out], []]))
    nearest = [*strangers[:first], *shared, *strangers[first:]][:depth]
    assert set(words[:head]) <= set(joined(nearest, words, weight)[:depth])


def test_no_more_is_certain() -> None:
    """Twenty found by words of thirty: the tenth is always in the list, the eleventh is not in this one."""
    words = [f"b{n:02}" for n in range(1, 21)]
    nearest = [*(f"a{n:02}" for n in range(1, 12)), *words[11:]]
    assert expected(len(words), 30, overtaking=1.0) == 10
    assert set(words) - set(joined(nearest, words, 0.5)[:30]) == {"b11"}


@pytest.mark.parametrize(
    ("words", "depth", "weight", "certain"),
    [(0, 50, 0.5, 0), (20, 50, 0.5, 20), (50, 50, 0.5, 0), (50, 50, 0.8, 50), (50, 50, 0.0, 0), (50, 50, 1.0, 50)],
)
def test_how_many_are_certain(words: int, depth: int, weight: float, certain: int) -> None:
    assert expected(words, depth, weight, overtaking=1.0) == certain


def test_what_is_expected_would_be_there_if_half_of_those_behind_were_found_by_both() -> None:
    assert [expected(50, 50), expected(100, 100), expected(20, 50)] == [16, 33, 20]
    words = [f"b{n:02}" for n in range(1, 51)]
    nearest = [f"a{n:02}" for n in range(1, 51)]
    nearest[16:33] = words[16:33]
    assert set(words[:16]) <= set(joined(nearest, words, 0.5)[:50])
    assert expected(50, 50, 0.4) == 0  # most of what words find is left out
    assert expected(100, 100, 0.4) == 10
