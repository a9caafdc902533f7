"""The second stage of one search, which may begin while the query is still being embedded."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from gateway.deadline import Deadline
from gateway.degradation import Degradation
from gateway.fusion import expected
from gateway.metrics import HEAD_START
from gateway.query import Hit, Query
from gateway.recall import Passage
from gateway.reranking import Reranking, Scores
from serving import tracing

_LEAST = 8  # passages that are worth a call


class Scoring:
    """Scores of a search's passages: what it is asked for and what it had begun with before, each scored once."""

    def __init__(
        self, reranking: Reranking, query: Query, budget: Deadline, fingerprint: str, *, head_start: bool
    ) -> None:
        """`fingerprint`: of the model that has to answer, empty for any. Adaptively, the nearest have to be first."""
        self._reranking = reranking
        self._query = query
        self._budget = budget
        self._fingerprint = fingerprint
        self._open = head_start and query.rerank and not query.adaptive
        self._sent: list[str] = []  # ids
        self._call: asyncio.Task[Scores | Degradation] | None = None

    @property
    def left(self) -> float:
        """Seconds of the search's budget."""
        return self._budget.left

    def head(self, matching: Sequence[Passage]) -> Sequence[Passage]:
        """What of BM25's list to begin with: nothing once it is too late, or while the second stage is busy."""
        if not self._open or not self._reranking.idle:
            return []
        head = matching[: expected(len(matching), self._query.depth, self._query.words_weight)]
        return head if len(head) >= _LEAST else []

    def begin(self, passages: Sequence[Passage]) -> None:
        """Sends them, which have their texts, to the second stage."""
        if not passages:  # they are gone meanwhile
            return
        self._sent = [passage.document.id for passage in passages]
        self._call = asyncio.create_task(self._ahead([passage.document.passage for passage in passages]))

    def close(self) -> None:
        """The query is embedded, or can't be: nothing is gained any more by beginning."""
        self._open = False

    def cancel(self) -> None:
        """Ends what is going on, if anything is: nobody will ask for it."""
        if self._call is not None:
            self._call.cancel()
            self._settle(used=0)

    async def scores(self, hits: Sequence[Hit]) -> Scores | Degradation:
        """Of all hits, in their order. The model of one call has to answer the next: during a rollout there are two."""
        found = await self._all(hits)
        if isinstance(found, Scores):
            self._fingerprint = found.fingerprint
        return found

    async def _all(self, hits: Sequence[Hit]) -> Scores | Degradation:
        """What is being scored already is not sent again, unless that fails."""
        ahead = [hit for hit in hits if _id(hit) in self._sent]
        if self._call is None or not ahead or _has_failed(self._call):
            self.cancel()
            return await self._score(hits)
        rest = [hit for hit in hits if _id(hit) not in self._sent]
        later = await self._score(rest) if rest else None
        if isinstance(later, Degradation):
            return later
        early = await self._early(self._call, ahead)
        if isinstance(early, Degradation) or later is None:
            return early
        if not early.agrees_with(later):
            return await self._score(hits)
        by_id = dict(zip(map(_id, [*ahead, *rest]), early.scores + later.scores, strict=True))
        return replace(early, scores=[by_id[_id(hit)] for hit in hits])

    async def _early(self, call: "asyncio.Task[Scores | Degradation]", ahead: Sequence[Hit]) -> Scores | Degradation:
        """Of the hits that were sent ahead. They are sent once more if they were refused, not if time ran out."""
        found = await call
        if isinstance(found, Degradation):
            self.cancel()
            return found if found is Degradation.RERANK_TIMEOUT else await self._score(ahead)
        self._settle(used=len(ahead))
        by_id = dict(zip(self._sent, found.scores, strict=True))
        return replace(found, scores=[by_id[_id(hit)] for hit in ahead])

    async def _ahead(self, passages: Sequence[str]) -> Scores | Degradation:
        with tracing.span("rerank ahead"):
            return await self._reranking.score(self._query.text, passages, self.left, self._fingerprint)

    async def _score(self, hits: Sequence[Hit]) -> Scores | Degradation:
        passages = [hit.passage.document.passage for hit in hits]
        return await self._reranking.score(self._query.text, passages, self.left, self._fingerprint)

    def _settle(self, used: int) -> None:
        HEAD_START.labels("used").inc(used)
        HEAD_START.labels("unused").inc(len(self._sent) - used)
        self._call = None


def _id(hit: Hit) -> str:
    return hit.passage.document.id


def _has_failed(call: "asyncio.Task[Scores | Degradation]") -> bool:
    return call.done() and isinstance(call.result(), Degradation)
