"""A gateway in this process between a real Redis with the query engine and the doubles of the two services."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.app import SERVICES, App
from gateway.quota import quota
from gateway.settings import GatewaySettings
from serving.health import Health
from serving.incoming import Incoming
from serving.server import ErrorTranslation, RequestMetrics
from siftline.embed.v1 import embed_pb2_grpc
from siftline.rerank.v1 import rerank_pb2_grpc
from siftline.search.v1 import search_pb2_grpc
from tests.fakes.services import FakeEmbed, FakeRerank, FakeServer
from tests.running.redis_server import RedisServer


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """An empty Redis."""
    with shared_redis.client as client:
        for name in client.execute_command("FT._LIST"):
            client.execute_command("FT.DROPINDEX", name)
        client.flushall()
    return shared_redis


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may ill-treat."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


@dataclass
class Gateway:
    """A running gateway, its doubles, and stubs that talk to it over the wire."""

    app: App
    health: Health
    target: str
    embed: FakeEmbed
    rerank: FakeRerank
    embed_server: FakeServer
    rerank_server: FakeServer
    searches: search_pb2_grpc.SearchServiceStub
    embeds: embed_pb2_grpc.EmbedServiceStub
    reranks: rerank_pb2_grpc.RerankServiceStub
    healths: health_pb2_grpc.HealthStub

    @property
    def url(self) -> str:
        """Of HTTP."""
        return f"http://127.0.0.1:{self.app.http_port}"

    async def until_ready(self, wanted: bool = True, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while self.health.serving != wanted:
                await asyncio.sleep(0.01)

    async def is_serving(self) -> bool:
        reply = await self.healths.Check(health_pb2.HealthCheckRequest())
        return reply.status == health_pb2.HealthCheckResponse.SERVING


class Gateways:
    """Starts gateways, as many as a test wants."""

    def __init__(self) -> None:
        self._running: list[tuple[Gateway, grpc.aio.Server, grpc.aio.Channel]] = []

    async def start(self, redis_url: str, **settings: object) -> Gateway:
        embed, rerank = FakeEmbed(), FakeRerank()
        embed_server, rerank_server = FakeServer(embed), FakeServer(rerank)
        await embed_server.start()
        await rerank_server.start()
        defaults: dict[str, object] = {
            "embed": embed_server.target,
            "rerank": rerank_server.target,
            "cache_url": redis_url,
            "index_url": redis_url,
            "http": "127.0.0.1:0",
            # What a slow part costs has tests of its own; elsewhere it would only be chance.
            "cache_budget_s": 10.0,
            "embed_budget_s": 20.0,
            "rerank_budget_s": 20.0,
            "model_refresh_s": 0.1,
        }
        health = Health(SERVICES)
        app = App(GatewaySettings(**(defaults | settings)), health)  # type: ignore[arg-type]
        options = [("grpc.max_receive_message_length", 64 << 20)]
        server = grpc.aio.server(
            interceptors=(Incoming(), RequestMetrics(), ErrorTranslation(), *app.interceptors), options=options
        )
        app.register(server)
        health.register(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        await app.start()
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_send_message_length", 64 << 20)])
        gateway = Gateway(
            app,
            health,
            f"127.0.0.1:{port}",
            embed,
            rerank,
            embed_server,
            rerank_server,
            search_pb2_grpc.SearchServiceStub(channel),
            embed_pb2_grpc.EmbedServiceStub(channel),
            rerank_pb2_grpc.RerankServiceStub(channel),
            health_pb2_grpc.HealthStub(channel),
        )
        self._running.append((gateway, server, channel))
        return gateway

    async def stop(self) -> None:
        for gateway, server, channel in self._running:
            await channel.close()
            await server.stop(grace=None)
            await gateway.app.aclose()
            await gateway.embed_server.stop()
            await gateway.rerank_server.stop()


@pytest.fixture
async def gateways() -> AsyncIterator[Gateways]:
    starter = Gateways()
    yield starter
    await starter.stop()


@pytest.fixture
async def gateway(gateways: Gateways, redis_server: RedisServer) -> Gateway:
    started = await gateways.start(redis_server.url)
    await started.until_ready()
    return started


@pytest.fixture(autouse=True)
def _patient_quotas(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that is late for once would not be asked, and a quota begin anew in each gateway."""
    monkeypatch.setattr(quota, "_TIMEOUT_S", 10.0)


@pytest.fixture(autouse=True)
def _no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SIFTLINE_GATEWAY_")]:
        monkeypatch.delenv(name)
