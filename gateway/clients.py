"""Channels to the embed and rerank services: balancing, keepalive, deadlines, retries, and who the model is.

Every call here is idempotent, so gRPC's own retries are on: few, with jitter, a shared budget, and obeying the
server's pushback. A status that comes back becomes one of our errors here, once.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway import metrics
from gateway.caller import CALLER
from gateway.deadline import Deadline
from gateway.hedging import Hedging
from gateway.joint_calls import JointCalls
from serving.clock import begun
from serving.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    Overloaded,
    SiftlineError,
    Unavailable,
)
from serving.incoming import carried
from serving.tls import connection
from siftline import channel as client_channel
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from siftline.errors import explained
from siftline.replies import reply_of
from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc
from siftline.tls import TLS

log = logging.getLogger(__name__)

Model = TypeVar("Model", embed_pb2.GetModelResponse, rerank_pb2.GetModelResponse)

_SERVICE_CONFIG = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        # A replica gets calls while its health service says SERVING, so none while it starts or its engine is away.
        "healthCheckConfig": {"serviceName": ""},
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.02s",
                    "maxBackoff": "0.2s",
                    "backoffMultiplier": 3,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
        "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
    }
)


KEEPALIVE_MS = 20_000
NOT_HERE = "MODEL_NOT_HERE"  # the reason of a service that has no model of the fingerprint that was named


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service is and how it is talked to; in clear without `tls`."""

    target: str
    max_message_bytes: int = 64 << 20
    tls: TLS | None = None
    hedge_after_s: float = 0.0


def open_channel(service: Service, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
    """A channel that notices a dead peer within half a minute and comes back to it within a second."""
    options = [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.max_receive_message_length", service.max_message_bytes),
        ("grpc.max_send_message_length", service.max_message_bytes),
        ("grpc.per_rpc_retry_buffer_size", 8 << 20),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", client_channel.KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", client_channel.KEEPALIVE_TIMEOUT_MS),  # without it the one above does nothing
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
    ]
    if credentials is None:
        return grpc.aio.insecure_channel(service.target, options=options)
    return grpc.aio.secure_channel(service.target, credentials, options=options)


@dataclass(frozen=True, slots=True)
class _Connection:
    channel: grpc.aio.Channel
    stub: Any


class ModelClient(Generic[Model]):
    """One service and the model that it serves, kept fresh by `watch`."""

    service = ""

    def __init__(self, service: Service, stub: Callable[[grpc.aio.Channel], Any], ask: Any) -> None:
        """Raises StartupError when TLS files are wrong."""

        def connect(credentials: grpc.ChannelCredentials | None) -> _Connection:
            channel = open_channel(service, credentials)
            return _Connection(channel, stub(channel))

        self._connection = connection(connect, service.tls, "services")
        self._hedging = Hedging(self.service, service.hedge_after_s)
        self._ask = ask
        self._model: Model | None = None
        self._others: dict[str, Model] = {}

    async def model(self, deadline: Deadline) -> Model:
        """What the service said of its model when last asked; asks when it never answered."""
        return self._model if self._model is not None else await self.refresh(deadline)

    async def refresh(self, deadline: Deadline) -> Model:
        """Asks the service now. Raises Unavailable, DeadlineExceeded."""
        try:
            model: Model = await self._call("GetModel", self._ask, deadline)
        except SiftlineError:
            metrics.MODEL_READY.labels(self.service).set(0)
            raise
        metrics.MODEL_READY.labels(self.service).set(1)
        if self._model is not None and self._model.fingerprint != model.fingerprint:
            log.info("%s: model changed from %s to %s", self.service, self._model.fingerprint, model.fingerprint)
        self._model = model
        return model

    async def of(self, fingerprint: str, deadline: Deadline) -> Model | None:
        """The model with this fingerprint, None when the service has it not. During a rollout it has two."""
        model = await self.model(deadline)
        if model.fingerprint != fingerprint and fingerprint not in self._others:
            model = await self.refresh(deadline)
        if model.fingerprint == fingerprint:
            return model
        if fingerprint not in self._others:
            other = await self._other(fingerprint, deadline)
            if other is None:
                return None
            self._others[fingerprint] = other
        return self._others[fingerprint]

    async def _other(self, fingerprint: str, deadline: Deadline) -> Model | None:
        asked = type(self._ask)(fingerprint=fingerprint)
        try:
            other: Model = await self._call("GetModel", asked, deadline)
        except Unavailable as error:
            if error.reason == NOT_HERE:
                return None
            raise
        return other if other.fingerprint == fingerprint else None  # a service of before does not look at the field

    async def is_ready(self, timeout_s: float = 2.0) -> bool:
        """Whether the service answers."""
        try:
            await self.refresh(Deadline(timeout_s))
        except SiftlineError:
            return False
        return True

    async def aclose(self) -> None:
        for each in self._connection.all():
            await each.channel.close()

    async def _compute(self, method: str, request: Any, deadline: Deadline) -> Any:
        """As `_call`; someone waits for an interactive one."""
        if request.priority == embed_pb2.PRIORITY_BULK:
            return await self._call(method, request, deadline)
        return await self._hedging.run(lambda: self._call(method, request, deadline))

    async def _call(self, method: str, request: Any, deadline: Deadline) -> Any:
        try:
            call = getattr(self._connection.current().stub, method)
            return await reply_of(begun(call, request, timeout=deadline.require(), metadata=carried()))
        except grpc.aio.AioRpcError as error:
            ours = translated(self.service, error)
            if ours.reason == NOT_HERE:  # what was known of the service is of before
                self._model = None
                self._others.clear()
            raise ours from error
        except asyncio.CancelledError:
            raise
        except grpc.aio.UsageError as error:  # the channel is closed: we are on our way down
            raise Unavailable(f"{self.service} service: connection closed") from error


class EmbedClient(ModelClient[embed_pb2.GetModelResponse]):
    service = "embed"

    def __init__(self, service: Service) -> None:
        super().__init__(service, embed_pb2_grpc.EmbedServiceStub, embed_pb2.GetModelRequest())
        self._joint = JointCalls(lambda request, deadline: self._compute("Embed", request, deadline))

    async def embed(self, request: embed_pb2.EmbedRequest, deadline: Deadline) -> embed_pb2.EmbedResponse:
        """Vectors straight from the service."""
        response = await self._joint.embed(request, deadline)
        CALLER.get().tokens += sum(response.token_counts)
        return response

    async def get_model(self, request: embed_pb2.GetModelRequest, deadline: Deadline) -> embed_pb2.GetModelResponse:
        response: embed_pb2.GetModelResponse = await self._call("GetModel", request, deadline)
        return response

    async def tokenize(self, request: embed_pb2.TokenizeRequest, deadline: Deadline) -> embed_pb2.TokenizeResponse:
        response: embed_pb2.TokenizeResponse = await self._call("Tokenize", request, deadline)
        return response

    async def decode(self, request: embed_pb2.DecodeRequest, deadline: Deadline) -> embed_pb2.DecodeResponse:
        response: embed_pb2.DecodeResponse = await self._call("Decode", request, deadline)
        return response


class RerankClient(ModelClient[rerank_pb2.GetModelResponse]):
    service = "rerank"

    def __init__(self, service: Service) -> None:
        super().__init__(service, rerank_pb2_grpc.RerankServiceStub, rerank_pb2.GetModelRequest())
        self.in_flight = 0

    async def rerank(self, request: rerank_pb2.RerankRequest, deadline: Deadline) -> rerank_pb2.RerankResponse:
        """Scores straight from the service."""
        self.in_flight += 1
        try:
            response: rerank_pb2.RerankResponse = await self._compute("Rerank", request, deadline)
        finally:
            self.in_flight -= 1
        CALLER.get().tokens += response.tokens
        return response

    async def get_model(self, request: rerank_pb2.GetModelRequest, deadline: Deadline) -> rerank_pb2.GetModelResponse:
        response: rerank_pb2.GetModelResponse = await self._call("GetModel", request, deadline)
        return response


def translated(service: str, error: grpc.aio.AioRpcError) -> SiftlineError:
    """Our error for a status that a service answered, or that gRPC made because it did not."""
    code, message = error.code(), error.details() or ""
    if code == grpc.StatusCode.INVALID_ARGUMENT:
        field, _, rest = message.partition(": ")
        reason = _reason(error)
        return (
            InvalidArgument(field, rest, reason=reason) if rest else InvalidArgument("request", message, reason=reason)
        )
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Overloaded(f"{service} service: {message}", retry_after=_retry_after(error))
    if code == grpc.StatusCode.UNAVAILABLE:
        return Unavailable(f"{service} service: {explained(message)}", reason=_reason(error))
    known = {
        grpc.StatusCode.NOT_FOUND: NotFound,
        grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
        grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
        grpc.StatusCode.UNIMPLEMENTED: FailedPrecondition,  # a service of an older version
    }
    kind = known.get(code)
    return kind(message) if kind else Internal(f"{service} service: {code.name}")


def _reason(error: grpc.aio.AioRpcError) -> str | None:
    """The service's own reason, where it was the service that answered and not gRPC."""
    for detail in _details(error):
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return None


def _details(error: grpc.aio.AioRpcError) -> Iterable[Any]:
    status = rpc_status.from_call(error)
    return status.details if status is not None else ()


def _retry_after(error: grpc.aio.AioRpcError) -> float:
    for detail in _details(error):
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return float(info.retry_delay.ToNanoseconds() / 1e9)
    return 1.0
