"""The search: recall passages, rerank them, give the best back. Read `Search.run` top to bottom."""

from gateway.deadline import Deadline
from gateway.degradation import Degradation
from gateway.metrics import DEGRADED_SEARCHES, stage
from gateway.query import Found, Hit, Query
from gateway.recall import Collection
from gateway.recall.registry import Registry
from gateway.recalling import Recalling
from gateway.reranking import Reranking


class Search:
    """Two stages. What fails is done without where an answer is still possible, and `degraded` says so."""

    def __init__(self, registry: Registry, recalling: Recalling, reranking: Reranking) -> None:
        self._registry = registry
        self._recalling = recalling
        self._reranking = reranking

    async def run(self, query: Query, deadline: Deadline) -> Found:
        """Raises NotFound, FailedPrecondition, InvalidArgument("filter"), Unavailable, Overloaded, DeadlineExceeded."""
        found = Found()
        budget = deadline if query.budget_s is None else Deadline(min(query.budget_s, deadline.left))
        collection = await self._registry.get(query.collection)
        found.hits = await self._recalling.find(collection, query, deadline, found)
        found.recalled = len(found.hits)
        if query.rerank and found.hits:
            with stage("rerank") as found.rerank:
                await self._rerank(collection, query, budget.left, found)
        if query.min_score is not None and not found.degraded:
            found.hits = [hit for hit in found.hits if _shown(hit) >= query.min_score]
        del found.hits[query.top_k :]
        for reason in found.degraded:
            DEGRADED_SEARCHES.labels(reason.name).inc()
        return found

    async def _rerank(self, collection: Collection, query: Query, left: float, found: Found) -> None:
        passages = [hit.passage.document.passage for hit in found.hits]
        scored = await self._reranking.score(query.text, passages, left)
        if isinstance(scored, Degradation):
            found.degraded.append(scored)
            return
        weight = collection.recall_weight if query.recall_weight is None else query.recall_weight
        for hit, (logit, probability) in zip(found.hits, scored.scores, strict=True):
            hit.logit, hit.probability = logit, probability
            hit.score = logit + weight * (hit.passage.cosine or 0.0)
        found.hits.sort(key=lambda hit: (-hit.score, hit.recall_rank))
        found.rerank_fingerprint = scored.fingerprint


def _shown(hit: Hit) -> float:
    """What `min_score` is compared with."""
    return hit.recall_score if hit.probability is None else hit.probability
