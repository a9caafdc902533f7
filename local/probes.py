"""Questions to a part of the stack: is it ready, does it answer at all."""

from collections.abc import Awaitable, Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.errors import Unavailable
from serving.health import LIVE

CHECK_SECONDS = 2.0
ALIVE_SECONDS = 5.0


def serving(address: str) -> Callable[[], Awaitable[None]]:
    """Raises Unavailable until the health service at HOST:PORT says SERVING."""

    async def check() -> None:
        try:
            status = await _ask(address, "", CHECK_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"{address} does not answer: {error.details()}") from error
        if status != health_pb2.HealthCheckResponse.SERVING:
            raise Unavailable(f"{address} is not serving yet")

    return check


def alive(address: str) -> Callable[[], Awaitable[bool]]:
    """Whether the event loop behind HOST:PORT turns, ready or not."""

    async def answers() -> bool:
        try:
            await _ask(address, LIVE, ALIVE_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return True

    return answers


async def _ask(address: str, service: str, seconds: float) -> "health_pb2.HealthCheckResponse.ServingStatus":
    # A channel of its own each time: one that was refused waits longer and longer before it tries again.
    async with grpc.aio.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        reply = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=seconds)
    return reply.status
