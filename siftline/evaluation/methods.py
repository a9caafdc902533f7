"""Ways to search that are compared, and the ranking that each makes of what one search found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from siftline.results import Hit, Recall


@dataclass(frozen=True)
class Method:
    """A first stage, and how many of its passages the second stage scores; 0 for no second stage."""

    recall: Recall
    depth: int = 0

    @property
    def name(self) -> str:
        return f"{self.recall} + rerank {self.depth}" if self.depth else self.recall


@dataclass(frozen=True)
class Candidate:
    """A passage that the first stage found. logit and cosine are None where they were not computed.

    score: what both stages order by; without a logit, the higher the earlier recall found it
    """

    id: str
    recall_rank: int
    score: float
    logit: float | None = None
    cosine: float | None = None


def candidates(hits: Sequence[Hit], recall: Recall) -> tuple[Candidate, ...]:
    """The hits of one search, in recall order."""
    found = (
        Candidate(
            hit.id,
            hit.recall_rank,
            -hit.recall_rank if hit.rerank_logit is None else hit.score,
            hit.rerank_logit,
            None if recall == "bm25" else hit.recall_score,
        )
        for hit in hits
    )
    return tuple(sorted(found, key=lambda candidate: candidate.recall_rank))


def scored(candidate: Candidate, logit: float | None, recall_weight: float) -> Candidate:
    """The candidate with its logit, and the score that the gateway makes of both stages."""
    score = -candidate.recall_rank if logit is None else logit + recall_weight * (candidate.cosine or 0.0)
    return replace(candidate, logit=logit, score=score)


def ranking(found: Sequence[Candidate], depth: int) -> list[str]:
    """Ids of the `depth` best of recall, by the score of the second stage, ties by recall; recall order with depth 0.

    A search of depth 20 gives what a search of depth 50 gives when only its first 20 are looked at: the score of a
    pair depends on nothing but the pair. With hybrid recall a shallower search has shorter lists to fuse, so there
    this is the first part of the deep fused list.
    """
    if not depth:
        return [candidate.id for candidate in found]
    reached = [candidate for candidate in found if candidate.recall_rank <= depth]
    return [candidate.id for candidate in sorted(reached, key=lambda each: (-each.score, each.recall_rank))]
