"""EmbedService as the gateway serves it: the same contract, with the cache in front."""

import time

import grpc

from gateway import estimate, validation
from gateway.admission import Lanes
from gateway.caller import CALLER
from gateway.clients import EmbedClient
from gateway.deadline import Deadline
from gateway.embedder import Embedded, Embedder
from gateway.settings import GatewaySettings
from serving.errors import NotFound
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from siftline.embed.v1.embed_pb2 import (
    DecodeRequest,
    DecodeResponse,
    EmbedRequest,
    EmbedResponse,
    GetModelRequest,
    GetModelResponse,
    TokenizeRequest,
    TokenizeResponse,
)


class EmbedServicer(embed_pb2_grpc.EmbedServiceServicer):
    def __init__(self, embedder: Embedder, client: EmbedClient, settings: GatewaySettings) -> None:
        self._embedder = embedder
        self._client = client
        self._default_deadline_s = settings.default_deadline_s
        self._lanes = Lanes("embed", settings.max_embeds, estimate.USUAL_EMBED)

    async def Embed(self, request: EmbedRequest, context: grpc.aio.ServicerContext) -> EmbedResponse:
        started, deadline = time.perf_counter(), Deadline.of(context, self._default_deadline_s)
        model = await self._client.model(deadline)
        if request.model not in ("", model.name):
            raise NotFound(f"model {request.model!r:.200} is not served here, {model.name!r} is")
        validation.embed_request(request, model)
        bulk = request.priority == embed_pb2.PRIORITY_BULK
        with self._lanes.admit(CALLER.get().tenant, estimate.of_embed(request), bulk=bulk):
            response = await self._embed(request, deadline)
        response.timings.total_us = int((time.perf_counter() - started) * 1e6)
        return response

    async def _embed(self, request: EmbedRequest, deadline: Deadline) -> EmbedResponse:
        """The cache holds dense vectors; whoever wants more of a text gets everything from the service."""
        if request.outputs:
            return await self._client.embed(request, deadline)
        return _response(await self._embedder.embed(request, deadline), request.dtype)

    async def GetModel(self, request: GetModelRequest, context: grpc.aio.ServicerContext) -> GetModelResponse:
        return await self._client.get_model(request, Deadline.of(context, self._default_deadline_s))

    async def Tokenize(self, request: TokenizeRequest, context: grpc.aio.ServicerContext) -> TokenizeResponse:
        return await self._client.tokenize(request, Deadline.of(context, self._default_deadline_s))

    async def Decode(self, request: DecodeRequest, context: grpc.aio.ServicerContext) -> DecodeResponse:
        return await self._client.decode(request, Deadline.of(context, self._default_deadline_s))

    async def known_model(self, context: grpc.aio.ServicerContext) -> GetModelResponse:
        """As last heard of it: for dialects that need to know it in every call."""
        return await self._client.model(Deadline.of(context, self._default_deadline_s))


def _response(embedded: Embedded, dtype: "embed_pb2.Dtype") -> EmbedResponse:
    return EmbedResponse(
        vectors=b"".join(row.vector for row in embedded.rows),
        count=len(embedded.rows),
        dimensions=embedded.dimensions,
        dtype=dtype,
        token_counts=[row.tokens for row in embedded.rows],
        truncated=[row.truncated for row in embedded.rows],
        windows=[row.windows for row in embedded.rows],
        fingerprint=embedded.fingerprint,
        timings=embedded.timings,
        cached=embedded.cached,
    )
