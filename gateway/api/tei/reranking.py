"""tei.v1.Rerank and Predict."""

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from gateway.api.rerank import RerankServicer
from gateway.api.streams import answered
from gateway.api.tei.embedding import metadata
from gateway.dialects import tei_pb2 as pb
from gateway.dialects import tei_pb2_grpc
from serving.errors import FailedPrecondition, InvalidArgument
from siftline.rerank.v1 import rerank_pb2

LABEL = "LABEL_0"
_NO_CLASSIFIER = "model is not a classifier model: PredictPair scores pairs"


class TeiRerank(tei_pb2_grpc.RerankServicer):
    def __init__(self, rerank: RerankServicer) -> None:
        self._rerank = rerank

    async def Rerank(self, request: pb.RerankRequest, context: grpc.aio.ServicerContext) -> pb.RerankResponse:
        return await self._ranked(request, request.texts, context)

    async def RerankStream(
        self, requests: AsyncIterator[pb.RerankStreamRequest], context: grpc.aio.ServicerContext
    ) -> pb.RerankResponse:
        first = await anext(aiter(requests), None)
        if first is None:
            raise InvalidArgument("texts", "the stream ended before its first message")
        limit = (await self._rerank.known_model(context)).limits.max_passages
        texts = [first.text]
        async for request in requests:
            texts.append(request.text)
            if len(texts) > limit:
                raise InvalidArgument("texts", f"more than {limit}, which is the limit")
        return await self._ranked(first, texts, context)

    async def _ranked(self, asked: Any, texts: Sequence[str], context: grpc.aio.ServicerContext) -> pb.RerankResponse:
        started = time.perf_counter()
        request = rerank_pb2.RerankRequest(query=asked.query, passages=texts, long_passage=_long_passage(asked))
        reply = await self._rerank.Rerank(request, context)
        ranks = [
            pb.Rank(
                index=each.index,
                score=each.logit if asked.raw_scores else each.score,
                text=texts[each.index] if asked.return_text else None,
            )
            for each in reply.results
        ]
        characters = len(asked.query) * len(texts) + sum(map(len, texts))
        return pb.RerankResponse(ranks=ranks, metadata=metadata(started, characters, reply))


class TeiPredict(tei_pb2_grpc.PredictServicer):
    """What the model has a score for is a pair."""

    def __init__(self, rerank: RerankServicer) -> None:
        self._rerank = rerank

    async def Predict(self, request: pb.PredictRequest, context: grpc.aio.ServicerContext) -> pb.PredictResponse:
        raise FailedPrecondition(_NO_CLASSIFIER)

    async def PredictPair(
        self, request: pb.PredictPairRequest, context: grpc.aio.ServicerContext
    ) -> pb.PredictResponse:
        started = time.perf_counter()
        if len(request.inputs) != 2:
            raise InvalidArgument("inputs", f"{len(request.inputs)} texts; a pair has 2")
        query, passage = request.inputs
        asked = rerank_pb2.RerankRequest(query=query, passages=[passage], long_passage=_long_passage(request))
        reply = await self._rerank.Rerank(asked, context)
        score = reply.results[0].logit if request.raw_scores else reply.results[0].score
        facts = metadata(started, len(query) + len(passage), reply)
        return pb.PredictResponse(predictions=[pb.Prediction(score=score, label=LABEL)], metadata=facts)

    async def PredictStream(
        self, requests: AsyncIterator[pb.PredictRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.PredictResponse]:
        async for reply in answered(requests, context, self.Predict):
            yield reply

    async def PredictPairStream(
        self, requests: AsyncIterator[pb.PredictPairRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.PredictResponse]:
        async for reply in answered(requests, context, self.PredictPair):
            yield reply


def _long_passage(asked: Any) -> "rerank_pb2.LongPassage":
    if asked.truncation_direction != pb.TRUNCATION_DIRECTION_RIGHT:
        raise InvalidArgument("truncation_direction", "texts to rerank are cut at the right only")
    return rerank_pb2.LONG_PASSAGE_TRUNCATE if asked.truncate else rerank_pb2.LONG_PASSAGE_ERROR
