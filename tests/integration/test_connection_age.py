"""Connections are renewed, so that clients find replicas that were added; no call fails for it."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.clients import Service, open_channel
from serving import server
from serving.health import Health
from serving.settings import ServerSettings
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from tests.running.model_service import free_port

SECONDS = 60.0
SERVICE = embed_pb2.DESCRIPTOR.services_by_name["EmbedService"].full_name


class _Peers(embed_pb2_grpc.EmbedServiceServicer):
    """Notes the connections that calls come over; an answer takes a while, so that some are always in flight."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    async def GetModel(
        self, request: embed_pb2.GetModelRequest, context: grpc.aio.ServicerContext
    ) -> embed_pb2.GetModelResponse:
        self.seen.add(context.peer())
        await asyncio.sleep(0.05)
        return embed_pb2.GetModelResponse()


async def _until_live(channel: grpc.aio.Channel) -> None:
    await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="live"), wait_for_ready=True)


async def test_connections_are_renewed_and_no_call_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTION_AGE_MS", 300)
    address, peers, health = f"127.0.0.1:{free_port()}", _Peers(), Health([SERVICE])
    serving = asyncio.create_task(
        server.serve(
            ServerSettings(listen=address),
            lambda s: embed_pb2_grpc.add_EmbedServiceServicer_to_server(peers, s),
            [SERVICE],
            health,
        )
    )
    async with grpc.aio.insecure_channel(address) as plain:
        await _until_live(plain)
    await health.set_serving(True)
    channel = open_channel(Service(address))
    stub = embed_pb2_grpc.EmbedServiceStub(channel)

    async def call_until_renewed_twice() -> None:
        while len(peers.seen) < 3:
            await stub.GetModel(embed_pb2.GetModelRequest(), timeout=SECONDS)

    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(call_until_renewed_twice() for _ in range(8)))
    await channel.close()
    serving.cancel()
    await asyncio.wait({serving})
