"""Two lists of passages into one."""

import math
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
        known.text_rank, known.bm25, known.document = passage.text_rank, passage.bm25, passage.document
    scored = [(passage, _score(passage, words_weight)) for passage in joined.values()]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0].document.id))


def expected(words: int, depth: int, words_weight: float = 0.5, overtaking: float = 0.5) -> int:
    """How many of so many found by words (`depth` at most), from the first on, will be among the first `depth` joined.

    Before that of rank r come those before it in its own list; those that only the nearest have, by their rank v, with
    (1 - weight) / (60 + v) >= weight / (60 + r); and those behind it in its own list that the nearest have too. The
    last are not known beforehand: they are taken for a share of `overtaking` of all behind it. With 1.0 it is certain.
    """
    words_part, nearest_part = words_weight, 1.0 - words_weight
    if nearest_part == 0.0:
        return words
    room = (_CONSTANT + depth - overtaking * words) * words_part - _CONSTANT * nearest_part
    rank = room / ((1.0 - overtaking) * words_part + nearest_part)
    return max(0, math.floor(min(rank, words)))


def _score(passage: Passage, words_weight: float) -> float:
    weighted = ((passage.vector_rank, 1.0 - words_weight), (passage.text_rank, words_weight))
    return sum(2.0 * weight / (_CONSTANT + rank) for rank, weight in weighted if rank)
