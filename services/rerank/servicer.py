"""siftline.rerank.v1.RerankService on the wire."""

import grpc

from services.rerank.model import RerankModel
from serving.limits import deadline_of
from serving.rollout.versions import Versions
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc


class RerankServicer(rerank_pb2_grpc.RerankServiceServicer):
    """The service as its proto describes it."""

    def __init__(self, versions: Versions[RerankModel]) -> None:
        self._versions = versions

    async def Rerank(
        self, request: rerank_pb2.RerankRequest, context: grpc.aio.ServicerContext
    ) -> rerank_pb2.RerankResponse:
        # By the query: all parts of one search go to one model, and a query asked again to the same.
        response: rerank_pb2.RerankResponse = await self._versions.answer(
            request, deadline_of(context), key=request.query
        )
        return response

    async def GetModel(
        self, request: rerank_pb2.GetModelRequest, context: grpc.aio.ServicerContext
    ) -> rerank_pb2.GetModelResponse:
        return self._versions.named(request.fingerprint).describe(request)
