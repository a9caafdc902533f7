"""grpc.health.v1 that can say no: one switch for the server as a whole and for each of its services."""

from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

from serving.telemetry import READY

# A name that serves as soon as the event loop turns, ready or not: for liveness probes, which restart what they doubt.
LIVE = "live"


class Health:
    """SERVING only between `set_serving(True)` and `set_serving(False)`; NOT_SERVING until told otherwise."""

    def __init__(self, service_names: Sequence[str]) -> None:
        self._servicer = aio.HealthServicer()
        self._names = ("", *service_names)
        self._serving: bool | None = None

    @property
    def serving(self) -> bool:
        return bool(self._serving)

    async def set_serving(self, serving: bool) -> None:
        if serving == self._serving:
            return
        self._serving = serving
        READY.set(serving)
        await self._servicer.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self._servicer.set(name, status)

    def register(self, server: grpc.aio.Server) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)
