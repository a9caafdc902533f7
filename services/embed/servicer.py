"""siftline.embed.v1.EmbedService on the wire."""

import grpc

from services.embed.model import EmbedModel
from serving.limits import deadline_of
from serving.rollout.versions import Versions
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc


class EmbedServicer(embed_pb2_grpc.EmbedServiceServicer):
    """The service as its proto describes it."""

    def __init__(self, versions: Versions[EmbedModel]) -> None:
        self._versions = versions

    async def Embed(
        self, request: embed_pb2.EmbedRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.EmbedResponse:
        response: embed_pb2.EmbedResponse = await self._versions.answer(request, deadline_of(context))
        return response

    async def GetModel(
        self, request: embed_pb2.GetModelRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.GetModelResponse:
        return self._versions.named(request.fingerprint).describe(request)

    async def Tokenize(
        self, request: embed_pb2.TokenizeRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.TokenizeResponse:
        return await self._versions.current.vocabulary.tokenize(request)

    async def Decode(
        self, request: embed_pb2.DecodeRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.DecodeResponse:
        return await self._versions.current.vocabulary.decode(request)
