"""siftline.rerank.v1.RerankService on the wire: requests checked and converted, nothing computed."""

import time

import grpc

from services.rerank.scorer import Scored, Scorer
from services.rerank.settings import RerankSettings
from serving.batching import Priority
from serving.errors import NotFound
from serving.limits import check_choice, check_count, check_text, deadline_of
from serving.model_runtime import ModelRuntime
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc

SCORE_KIND = "logit+sigmoid"
LONG_PASSAGES = {
    rerank_pb2.LONG_PASSAGE_UNSPECIFIED: "window",
    rerank_pb2.LONG_PASSAGE_WINDOW: "window",
    rerank_pb2.LONG_PASSAGE_TRUNCATE: "truncate",
    rerank_pb2.LONG_PASSAGE_ERROR: "error",
}
PRIORITIES = {
    rerank_pb2.PRIORITY_UNSPECIFIED: Priority.INTERACTIVE,
    rerank_pb2.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    rerank_pb2.PRIORITY_BULK: Priority.BULK,
}
BY_SCORE = {rerank_pb2.ORDER_UNSPECIFIED: True, rerank_pb2.ORDER_SCORE: True, rerank_pb2.ORDER_INPUT: False}


class RerankServicer(rerank_pb2_grpc.RerankServiceServicer):
    """The service as its proto describes it."""

    def __init__(self, runtime: ModelRuntime, scorer: Scorer, settings: RerankSettings) -> None:
        self._runtime = runtime
        self._scorer = scorer
        self._settings = settings

    async def Rerank(
        self, request: rerank_pb2.RerankRequest, context: grpc.aio.ServicerContext
    ) -> rerank_pb2.RerankResponse:
        started = time.perf_counter()
        self._check(request)
        by_score = check_choice("order", BY_SCORE, request.order)
        scored = await self._scorer.score(
            request.query,
            request.passages,
            check_choice("long_passage", LONG_PASSAGES, request.long_passage),
            check_choice("priority", PRIORITIES, request.priority),
            deadline_of(context),
        )
        response = rerank_pb2.RerankResponse(
            results=_results(scored, request.top_n, by_score),
            fingerprint=self._runtime.fingerprint,
            tokens=scored.tokens,
            query_truncated=scored.query_truncated,
        )
        timings = response.timings
        timings.tokenize_us = int(scored.tokenize_seconds * 1e6)
        timings.queue_us = int(scored.queue_seconds * 1e6)
        timings.compute_us = int(scored.compute_seconds * 1e6)
        timings.total_us = int((time.perf_counter() - started) * 1e6)
        return response

    async def GetModel(
        self, request: rerank_pb2.GetModelRequest, context: grpc.aio.ServicerContext
    ) -> rerank_pb2.GetModelResponse:
        model = self._runtime.model
        self._check_model(request.model)
        return rerank_pb2.GetModelResponse(
            name=model.name,
            fingerprint=self._runtime.fingerprint,
            max_tokens=model.max_tokens,
            max_query_tokens=model.pair.max_query_tokens if model.pair else 0,
            score_kind=SCORE_KIND,
            engine=self._runtime.info.engine,
            precision=self._runtime.precision,
            limits=rerank_pb2.Limits(
                max_passages=self._settings.max_passages,
                max_text_bytes=self._settings.max_text_bytes,
                max_message_bytes=self._settings.max_message_bytes,
                max_windows=self._settings.max_windows,
            ),
            licence=model.licence,
            source=model.source,
        )

    def _check(self, request: rerank_pb2.RerankRequest) -> None:
        """An empty passage is allowed (its score is that of the query alone); an empty query is not."""
        limit = self._settings.max_text_bytes
        self._check_model(request.model)
        check_text("query", request.query, limit)
        check_count("passages", len(request.passages), self._settings.max_passages)
        for index, passage in enumerate(request.passages):
            check_text(f"passages[{index}]", passage, limit, empty=True)

    def _check_model(self, name: str) -> None:
        served = self._runtime.model.name
        if name and name != served:
            raise NotFound(f"model: {name!r} is not served here; {served!r} is")


def _results(scored: Scored, top_n: int, by_score: bool) -> list[rerank_pb2.RerankResult]:
    """The best `top_n` (0 for all), best first or in the order sent."""
    ranking = scored.ranking()[: top_n or None]
    if not by_score:
        ranking.sort()
    return [
        rerank_pb2.RerankResult(
            index=int(index),
            logit=float(scored.logits[index]),
            score=float(scored.scores[index]),
            windows=int(scored.windows[index]),
            truncated=bool(scored.truncated[index]),
        )
        for index in ranking
    ]
