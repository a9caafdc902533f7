"""Two lists of passages into one."""

from collections.abc import Sequence

from gateway.recall import Passage

# Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet ...", SIGIR 2009.
_CONSTANT = 60


def reciprocal_rank_fusion(
    nearest: Sequence[Passage], words: Sequence[Passage], words_weight: float = 0.5
) -> list[tuple[Passage, float]]:
    """Passages of either list with the weighted sum of 1 / (60 + rank) over the lists that have them, best first, ties
    by id. The weights of both lists come to 2, so that those of like weight count as they are."""
    joined = {passage.document.id: passage for passage in nearest}
    for passage in words:
        known = joined.setdefault(passage.document.id, passage)
        known.text_rank, known.bm25 = passage.text_rank, passage.bm25
    scored = [(passage, _score(passage, words_weight)) for passage in joined.values()]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0].document.id))


def _score(passage: Passage, words_weight: float) -> float:
    weighted = ((passage.vector_rank, 1.0 - words_weight), (passage.text_rank, words_weight))
    return sum(2.0 * weight / (_CONSTANT + rank) for rank, weight in weighted if rank)
