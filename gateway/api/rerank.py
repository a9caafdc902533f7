"""RerankService as the gateway serves it: handed through within the caller's deadline. The service checks requests."""

import grpc

from gateway import estimate
from gateway.admission import Lanes
from gateway.caller import CALLER
from gateway.clients import RerankClient
from gateway.deadline import Deadline
from gateway.settings import GatewaySettings
from serving.errors import Unavailable
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc
from siftline.rerank.v1.rerank_pb2 import GetModelRequest, GetModelResponse, RerankRequest, RerankResponse


class RerankServicer(rerank_pb2_grpc.RerankServiceServicer):
    def __init__(self, client: RerankClient | None, settings: GatewaySettings) -> None:
        self._client = client
        self._default_deadline_s = settings.default_deadline_s
        self._lanes = Lanes("rerank", settings.max_reranks, estimate.USUAL_RERANK)

    async def Rerank(self, request: RerankRequest, context: grpc.aio.ServicerContext) -> RerankResponse:
        client, deadline = self._known(), Deadline.of(context, self._default_deadline_s)
        bulk = request.priority == rerank_pb2.PRIORITY_BULK
        with self._lanes.admit(CALLER.get().tenant, estimate.of_rerank(request), bulk=bulk):
            return await client.rerank(request, deadline)

    async def GetModel(self, request: GetModelRequest, context: grpc.aio.ServicerContext) -> GetModelResponse:
        return await self._known().get_model(request, Deadline.of(context, self._default_deadline_s))

    async def known_model(self, context: grpc.aio.ServicerContext) -> GetModelResponse:
        """As last heard of it: for dialects that need to know it in every call."""
        return await self._known().model(Deadline.of(context, self._default_deadline_s))

    def _known(self) -> RerankClient:
        if self._client is None:
            raise Unavailable("this gateway has no rerank service", reason="NO_RERANKER")
        return self._client
