"""Reciprocal rank fusion."""

import pytest

from gateway.fusion import reciprocal_rank_fusion
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
