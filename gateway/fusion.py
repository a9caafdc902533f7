"""Two lists of passages into one."""

from collections.abc import Sequence

from gateway.recall import Passage

# Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet ...", SIGIR 2009.
_CONSTANT = 60


def reciprocal_rank_fusion(nearest: Sequence[Passage], words: Sequence[Passage]) -> list[tuple[Passage, float]]:
    """Passages of either list with the sum of 1 / (60 + rank) over the lists that have them, best first, ties by id."""
    joined = {passage.document.id: passage for passage in nearest}
    for passage in words:
        known = joined.setdefault(passage.document.id, passage)
        known.text_rank, known.bm25 = passage.text_rank, passage.bm25
    scored = [(passage, _score(passage)) for passage in joined.values()]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0].document.id))


def _score(passage: Passage) -> float:
    return sum(1.0 / (_CONSTANT + rank) for rank in (passage.vector_rank, passage.text_rank) if rank)
