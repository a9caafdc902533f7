"""tei.v1.Embed, Tokenize and Info."""

import time
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import grpc
import numpy as np

from gateway.api.embed import EmbedServicer
from gateway.api.streams import answered
from gateway.dialects import tei_pb2 as pb
from gateway.dialects import tei_pb2_grpc
from serving.errors import FailedPrecondition
from siftline.embed.v1 import embed_pb2

_DIRECTIONS = {
    pb.TRUNCATION_DIRECTION_RIGHT: embed_pb2.TRUNCATION_END,
    pb.TRUNCATION_DIRECTION_LEFT: embed_pb2.TRUNCATION_START,
}


class TeiEmbed(tei_pb2_grpc.EmbedServicer):
    """`truncate` is false where nothing is said, as proto3 has it: then a text that is too long is refused."""

    def __init__(self, embed: EmbedServicer) -> None:
        self._embed = embed

    async def Embed(self, request: pb.EmbedRequest, context: grpc.aio.ServicerContext) -> pb.EmbedResponse:
        started = time.perf_counter()
        reply = await self._embed.Embed(_converted(request, dimensions=request.dimensions), context)
        vector = np.frombuffer(reply.vectors, "<f4")
        if request.normalize or not request.HasField("normalize"):
            vector = vector / max(float(np.linalg.norm(vector)), 1e-12) if not await self._unit(context) else vector
        return pb.EmbedResponse(embeddings=vector.tolist(), metadata=metadata(started, len(request.inputs), reply))

    async def EmbedStream(
        self, requests: AsyncIterator[pb.EmbedRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.EmbedResponse]:
        async for reply in answered(requests, context, self.Embed):
            yield reply

    async def EmbedSparse(
        self, request: pb.EmbedSparseRequest, context: grpc.aio.ServicerContext
    ) -> pb.EmbedSparseResponse:
        started = time.perf_counter()
        await self._require(context, embed_pb2.OUTPUT_SPARSE, "sparse embeddings")
        reply = await self._embed.Embed(_converted(request, outputs=[embed_pb2.OUTPUT_SPARSE]), context)
        ids, weights = np.frombuffer(reply.sparse.ids, "<u4"), np.frombuffer(reply.sparse.weights, "<f4")
        values = [pb.SparseValue(index=i, value=w) for i, w in zip(ids.tolist(), weights.tolist(), strict=True)]
        facts = metadata(started, len(request.inputs), reply)
        return pb.EmbedSparseResponse(sparse_embeddings=values, metadata=facts)

    async def EmbedSparseStream(
        self, requests: AsyncIterator[pb.EmbedSparseRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.EmbedSparseResponse]:
        async for reply in answered(requests, context, self.EmbedSparse):
            yield reply

    async def EmbedAll(self, request: pb.EmbedAllRequest, context: grpc.aio.ServicerContext) -> pb.EmbedAllResponse:
        started = time.perf_counter()
        await self._require(context, embed_pb2.OUTPUT_MULTI_VECTOR, "an embedding for each token")
        reply = await self._embed.Embed(_converted(request, outputs=[embed_pb2.OUTPUT_MULTI_VECTOR]), context)
        found = reply.multi_vectors
        rows = np.frombuffer(found.vectors, "<f4").reshape(-1, found.dimensions)
        vectors = [pb.TokenEmbedding(embeddings=row) for row in rows.tolist()]
        return pb.EmbedAllResponse(token_embeddings=vectors, metadata=metadata(started, len(request.inputs), reply))

    async def EmbedAllStream(
        self, requests: AsyncIterator[pb.EmbedAllRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.EmbedAllResponse]:
        async for reply in answered(requests, context, self.EmbedAll):
            yield reply

    async def _unit(self, context: grpc.aio.ServicerContext) -> bool:
        return (await self._embed.known_model(context)).normalized

    async def _require(self, context: grpc.aio.ServicerContext, output: int, what: str) -> None:
        model = await self._embed.known_model(context)
        if output not in model.outputs:
            raise FailedPrecondition(f"model {model.name} does not make {what}")


class TeiTokenize(tei_pb2_grpc.TokenizeServicer):
    def __init__(self, embed: EmbedServicer) -> None:
        self._embed = embed

    async def Tokenize(self, request: pb.EncodeRequest, context: grpc.aio.ServicerContext) -> pb.EncodeResponse:
        asked = embed_pb2.TokenizeRequest(
            texts=[request.inputs], add_special_tokens=request.add_special_tokens, prompt_name=request.prompt_name
        )
        (found,) = (await self._embed.Tokenize(asked, context)).texts
        prompt = (await self._embed.known_model(context)).prompts.get(request.prompt_name, "")
        return pb.EncodeResponse(tokens=_tokens(prompt + request.inputs, found))

    async def TokenizeStream(
        self, requests: AsyncIterator[pb.EncodeRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.EncodeResponse]:
        async for reply in answered(requests, context, self.Tokenize):
            yield reply

    async def Decode(self, request: pb.DecodeRequest, context: grpc.aio.ServicerContext) -> pb.DecodeResponse:
        texts = [embed_pb2.TokenIds(ids=request.ids)]
        asked = embed_pb2.DecodeRequest(texts=texts, skip_special_tokens=request.skip_special_tokens)
        return pb.DecodeResponse(text=(await self._embed.Decode(asked, context)).texts[0])

    async def DecodeStream(
        self, requests: AsyncIterator[pb.DecodeRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.DecodeResponse]:
        async for reply in answered(requests, context, self.Decode):
            yield reply


class TeiInfo(tei_pb2_grpc.InfoServicer):
    def __init__(self, embed: EmbedServicer) -> None:
        self._embed = embed

    async def Info(self, request: pb.InfoRequest, context: grpc.aio.ServicerContext) -> pb.InfoResponse:
        """Of the embedding model."""
        model = await self._embed.known_model(context)
        return pb.InfoResponse(
            version=version("siftline"),
            model_id=model.name,
            model_sha=model.fingerprint,
            model_dtype=model.precision,
            model_type=pb.MODEL_TYPE_EMBEDDING,
            max_input_length=model.max_tokens,
            max_client_batch_size=model.limits.max_texts,
            tokenization_workers=1,
        )


def _converted(request: Any, **fields: Any) -> embed_pb2.EmbedRequest:
    if request.HasField("prompt_name"):
        fields["prompt_name"] = request.prompt_name
    cut = _DIRECTIONS.get(request.truncation_direction, embed_pb2.TRUNCATION_END)
    truncation = cut if request.truncate else embed_pb2.TRUNCATION_ERROR
    return embed_pb2.EmbedRequest(texts=[request.inputs], truncation=truncation, **fields)


def _tokens(text: str, found: embed_pb2.TokenizedText) -> list[pb.SimpleToken]:
    facts = zip(found.ids, found.tokens, found.special, found.starts, found.ends, strict=True)
    return [
        pb.SimpleToken(id=one, text=token, special=True)
        if special
        else pb.SimpleToken(id=one, text=text[start:end], start=start, stop=end)
        for one, token, special, start, end in facts
    ]


def metadata(started: float, characters: int, reply: Any) -> pb.Metadata:
    """`started` as time.perf_counter gave it; `reply` of the embed or the rerank service."""
    tokens = sum(reply.token_counts) if isinstance(reply, embed_pb2.EmbedResponse) else reply.tokens
    return pb.Metadata(
        compute_chars=characters,
        compute_tokens=tokens,
        total_time_ns=int((time.perf_counter() - started) * 1e9),
        tokenization_time_ns=reply.timings.tokenize_us * 1000,
        queue_time_ns=reply.timings.queue_us * 1000,
        inference_time_ns=reply.timings.compute_us * 1000,
    )
