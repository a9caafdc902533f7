"""The second stage as the search sees it: scores for the passages, or the reason why there are none."""

import asyncio
import logging
import math
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.breaker import Breaker
from gateway.clients import RerankClient
from gateway.deadline import Deadline
from gateway.degradation import Degradation
from gateway.prefix import prefix
from serving.errors import DeadlineExceeded, Internal, InvalidArgument, Overloaded, SiftlineError
from siftline.rerank.v1 import rerank_pb2

log = logging.getLogger(__name__)

_REPLY_S = 0.1  # kept back of the caller's time, so that an answer without scores still reaches it
PATIENT_S = 1.0  # a timeout after less than this says more about the caller's haste than about the service


@dataclass(frozen=True, slots=True)
class Scores:
    """(logit, probability) of each passage, in the order sent; how many windows these were read in.

    `cut`: of a long passage only the beginning was read, because all together had more than `max_windows` (0: unknown).
    """

    scores: list[tuple[float, float]]
    fingerprint: str
    windows: int = 0
    max_windows: int = 0
    cut: bool = False

    def agrees_with(self, other: "Scores") -> bool:
        """Whether one call for the passages of both would have given the same scores."""
        together = self.windows + other.windows
        fits = self.cut or not self.max_windows or together <= self.max_windows
        return self.fingerprint == other.fingerprint and self.cut == other.cut and fits


class Reranking:
    """Never raises for the service's sake: a search without its second stage is still an answer."""

    def __init__(self, client: RerankClient | None, budget_s: float, max_unknown: float) -> None:
        self._client = client
        self._max_unknown = max_unknown
        self.budget_s = budget_s
        self._breaker = Breaker(threshold=5)

    @property
    def idle(self) -> bool:
        """Whether the service is there and has nothing else to do, as far as this gateway knows."""
        return self._client is not None and not self._client.in_flight and not self._breaker.open

    async def score(
        self, query: str, passages: Sequence[str], left: float, fingerprint: str = ""
    ) -> Scores | Degradation:
        """Scores, early enough that the caller gets the answer in the `left` seconds that it has.

        By the model with this `fingerprint` while the service has it; during a rollout it has two.
        """
        if self._client is None or not self._breaker.allows():
            return Degradation.RERANK_UNAVAILABLE
        budget = min(self.budget_s, left - min(_REPLY_S, left / 5))
        try:
            scores = await self._score(self._client, query, passages, Deadline(budget), fingerprint)
        except DeadlineExceeded:
            if budget >= min(PATIENT_S, self.budget_s):
                self._breaker.failed()
            return Degradation.RERANK_TIMEOUT
        except Overloaded:
            return Degradation.RERANK_OVERLOADED
        except InvalidArgument as error:  # these passages, and not the service, are the matter
            log.warning("second stage: %s", error)
            return Degradation.RERANK_UNAVAILABLE
        except SiftlineError as error:
            self._breaker.failed()
            log.warning("second stage: %s", error)
            return Degradation.RERANK_UNAVAILABLE
        self._breaker.succeeded()
        return scores if scores is not None else Degradation.RERANK_UNREADABLE

    async def _score(
        self, client: RerankClient, query: str, passages: Sequence[str], deadline: Deadline, fingerprint: str
    ) -> Scores | None:
        """None when the model cannot read the query."""
        named = await client.of(fingerprint, deadline) if fingerprint else None
        asked = rerank_pb2.RerankRequest(
            query=query, fingerprint=named.fingerprint if named else "", max_query_unknown=self._max_unknown
        )
        limits = (named or await client.model(deadline)).limits
        size = limits.max_passages or len(passages)
        fitting = [prefix(passage, limits.max_text_bytes) for passage in passages]
        parts = [fitting[at : at + size] for at in range(0, len(fitting), size)]
        cut = False
        try:
            replies = await _all(*(client.rerank(_request(asked, part), deadline) for part in parts))
        except InvalidArgument:  # too many windows in all: the beginnings of the passages have to do
            cut = True
            replies = await _all(*(client.rerank(_request(asked, part, cut=True), deadline) for part in parts))
        if len({reply.fingerprint for reply in replies}) != 1:
            raise Internal("rerank service: parts of one search were scored by different models")
        if any(reply.unreadable for reply in replies):
            return None
        scores = [pair for reply, part in zip(replies, parts, strict=True) for pair in _in_order(reply, len(part))]
        windows = sum(result.windows for reply in replies for result in reply.results)
        return Scores(scores, replies[0].fingerprint, windows, limits.max_windows, cut)


def _request(
    asked: rerank_pb2.RerankRequest, passages: Sequence[str], *, cut: bool = False
) -> rerank_pb2.RerankRequest:
    long_passage = rerank_pb2.LONG_PASSAGE_TRUNCATE if cut else rerank_pb2.LONG_PASSAGE_WINDOW
    return rerank_pb2.RerankRequest(
        query=asked.query,
        passages=passages,
        order=rerank_pb2.ORDER_INPUT,
        long_passage=long_passage,
        fingerprint=asked.fingerprint,
        max_query_unknown=asked.max_query_unknown,
    )


def _in_order(reply: rerank_pb2.RerankResponse, count: int) -> list[tuple[float, float]]:
    by_index = {result.index: (result.logit, result.score) for result in reply.results}
    if sorted(by_index) != list(range(count)) or not all(math.isfinite(logit) for logit, _ in by_index.values()):
        raise Internal("rerank service: scores are missing or not finite")
    return [by_index[index] for index in range(count)]


async def _all(*calls: Coroutine[Any, Any, rerank_pb2.RerankResponse]) -> list[rerank_pb2.RerankResponse]:
    """All results; the first failure ends the other calls too."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
