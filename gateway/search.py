"""The search: recall passages, rerank them, give the best back. Read `Search.run` top to bottom."""

from collections.abc import Sequence

from gateway.calibration import Calibration
from gateway.deadline import Deadline
from gateway.degradation import Degradation
from gateway.metrics import DEGRADED_SEARCHES, stage
from gateway.query import Found, Hit, Query
from gateway.recall import Collection
from gateway.recall.filter import parse
from gateway.recall.registry import Registry
from gateway.recalling import Recalling
from gateway.reranking import PATIENT_S, Reranking
from gateway.scoring import Scoring
from gateway.selection import select
from serving.errors import FailedPrecondition

_LEAST_PART = 16  # passages of one part of an adaptive search: fewer would leave the engine half empty


class Search:
    """Two stages. What fails is done without where an answer is still possible, and `degraded` says so."""

    def __init__(self, registry: Registry, recalling: Recalling, reranking: Reranking, *, head_start: bool) -> None:
        self._registry = registry
        self._recalling = recalling
        self._reranking = reranking
        self._head_start = head_start

    async def run(self, query: Query, deadline: Deadline) -> Found:
        """Raises NotFound, FailedPrecondition, InvalidArgument("filter"), Unavailable, Overloaded, DeadlineExceeded."""
        found = Found()
        budget = deadline if query.budget_s is None else Deadline(min(query.budget_s, deadline.left))
        collection = await self._registry.get(query.collection)
        where = parse(query.filter, collection.fields)
        model = _calibrated_model(collection) if query.min_probability is not None else ""
        scoring = Scoring(self._reranking, query, budget, model, head_start=self._head_start)
        try:
            found.hits = await self._recalling.find(collection, query, where, deadline, found, scoring)
            found.recalled = len(found.hits)
            if query.rerank and found.hits:
                with stage("rerank") as found.rerank:
                    await self._rerank(collection, query, scoring, found)
        finally:
            scoring.cancel()
        found.hits = select(query, found)
        for reason in found.degraded:
            DEGRADED_SEARCHES.labels(reason.name).inc()
        return found

    async def _rerank(self, collection: Collection, query: Query, scoring: Scoring, found: Found) -> None:
        """All hits at once; adaptively part after part, nearest first, until one changes nothing in what is shown."""
        recalled, shown = found.hits, None
        size = max(2 * query.top_k, _LEAST_PART) if query.adaptive else len(recalled)
        for at in range(0, len(recalled), size):
            part = recalled[at : at + size]
            if not await self._score(collection, query, part, scoring, found):
                return
            found.reranked += len(part)
            found.hits = sorted(recalled[: found.reranked], key=lambda hit: (-hit.score, hit.recall_rank))
            before, shown = shown, [hit.recall_rank for hit in select(query, found)]
            if shown == before:
                return

    async def _score(
        self, collection: Collection, query: Query, hits: Sequence[Hit], scoring: Scoring, found: Found
    ) -> bool:
        """Gives hits their scores; without them it is False, and `found` says why."""
        left = scoring.left
        scored = await scoring.scores(hits)
        if isinstance(scored, Degradation):
            found.degraded.append(scored)
            # Not for a timeout: a reranker that hangs is no reason to refuse searches that do without it.
            found.crowded = scored is Degradation.RERANK_OVERLOADED and left >= PATIENT_S
            return False
        calibration = _calibration_for(collection, scored.fingerprint, query)
        weight = collection.recall_weight if query.recall_weight is None else query.recall_weight
        for hit, (logit, probability) in zip(hits, scored.scores, strict=True):
            hit.logit, hit.probability = logit, probability
            hit.calibrated = calibration.probability(logit) if calibration else None
            hit.score = logit + weight * (hit.passage.cosine or 0.0)
        found.rerank_fingerprint = scored.fingerprint
        return True


def _calibrated_model(collection: Collection) -> str:
    """The fingerprint of the reranker that the calibration is for. Raises FailedPrecondition when there is none."""
    if collection.calibration is None:
        raise FailedPrecondition(
            f"min_probability: collection {collection.name!r} has no calibration; make one with siftline calibrate",
            reason="NOT_CALIBRATED",
        )
    return collection.calibration.fingerprint


def _calibration_for(collection: Collection, fingerprint: str, query: Query) -> Calibration | None:
    """The collection's, when it is for this reranker. Raises FailedPrecondition when the query needs another."""
    calibration = collection.calibration
    if calibration is None or calibration.fingerprint == fingerprint:
        return calibration
    if query.min_probability is not None:
        raise FailedPrecondition(
            f"min_probability: collection {collection.name!r} was calibrated for the reranker "
            f"{calibration.fingerprint}, but the one in service has the fingerprint {fingerprint}",
            reason="MODEL_MISMATCH",
        )
    return None
