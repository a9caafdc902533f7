"""One reranking model in service: its requests checked and converted, its facts, its canary texts."""

import time

from services.rerank import canary
from services.rerank.scorer import Scored, Scorer
from services.rerank.settings import RerankSettings
from serving.batching import Priority
from serving.errors import InvalidArgument, NotFound
from serving.limits import check_choice, check_count, check_text
from serving.model_runtime import ModelRuntime
from serving.tokenization import TokenizerPool
from siftline.rerank.v1 import rerank_pb2

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


class RerankModel:
    """Answers for one model; RerankServicer chooses which."""

    def __init__(self, runtime: ModelRuntime, tokenizer: TokenizerPool, settings: RerankSettings) -> None:
        self.runtime = runtime
        self._scorer = Scorer(runtime, tokenizer, settings.max_windows)
        self._tokenizer = tokenizer
        self._settings = settings

    async def answer(self, request: rerank_pb2.RerankRequest, deadline: float | None) -> rerank_pb2.RerankResponse:
        """Raises InvalidArgument, NotFound, and what the batcher raises."""
        started = time.perf_counter()
        self._check(request)
        by_score = check_choice("order", BY_SCORE, request.order)
        scored = await self._scorer.score(
            request.query,
            request.passages,
            check_choice("long_passage", LONG_PASSAGES, request.long_passage),
            check_choice("priority", PRIORITIES, request.priority),
            deadline,
            _max_unknown(request),
        )
        response = rerank_pb2.RerankResponse(
            results=_results(scored, request.top_n, by_score),
            fingerprint=self.runtime.fingerprint,
            tokens=scored.tokens,
            query_truncated=scored.query_truncated,
            query_unknown=scored.query_unknown,
            unreadable=not len(scored.logits),
        )
        timings = response.timings
        timings.tokenize_us = int(scored.tokenize_seconds * 1e6)
        timings.queue_us = int(scored.queue_seconds * 1e6)
        timings.compute_us = int(scored.compute_seconds * 1e6)
        timings.total_us = int((time.perf_counter() - started) * 1e6)
        return response

    def describe(self, request: rerank_pb2.GetModelRequest) -> rerank_pb2.GetModelResponse:
        """Everything that a client must know of the model. Raises NotFound for another name."""
        model = self.runtime.model
        self._check_model(request.model)
        return rerank_pb2.GetModelResponse(
            name=model.name,
            fingerprint=self.runtime.fingerprint,
            max_tokens=model.max_tokens,
            max_query_tokens=model.pair.max_query_tokens if model.pair else 0,
            score_kind=SCORE_KIND,
            engine=self.runtime.info.engine,
            precision=self.runtime.precision,
            limits=rerank_pb2.Limits(
                max_passages=self._settings.max_passages,
                max_text_bytes=self._settings.max_text_bytes,
                max_message_bytes=self._settings.max_message_bytes,
                max_windows=self._settings.max_windows,
            ),
            licence=model.licence,
            source=model.source,
        )

    async def canary(self, other: "RerankModel | None", *, parity: bool) -> float | None:
        """The lowest of 1 - |difference of scores| with the other model. Raises Refuted."""
        return await canary.check(self._scorer, other._scorer if other is not None else None, parity=parity)

    def close(self) -> None:
        self._tokenizer.close()

    def _check(self, request: rerank_pb2.RerankRequest) -> None:
        """An empty passage is allowed (its score is that of the query alone); an empty query is not."""
        limit = self._settings.max_text_bytes
        self._check_model(request.model)
        check_text("query", request.query, limit)
        check_count("passages", len(request.passages), self._settings.max_passages)
        for index, passage in enumerate(request.passages):
            check_text(f"passages[{index}]", passage, limit, empty=True)

    def _check_model(self, name: str) -> None:
        served = self.runtime.model.name
        if name and name != served:
            raise NotFound(f"model: {name!r} is not served here; {served!r} is")


def _max_unknown(request: rerank_pb2.RerankRequest) -> float:
    if not request.HasField("max_query_unknown"):
        return 1.0
    if not 0 <= request.max_query_unknown <= 1:
        raise InvalidArgument("max_query_unknown", f"{request.max_query_unknown:g}; a share from 0 to 1 is needed")
    return request.max_query_unknown


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
