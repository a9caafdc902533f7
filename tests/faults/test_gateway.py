"""The gateway as a process: drained, flooded, and of constant size."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from siftline.search.v1 import search_pb2 as pb
from siftline.search.v1 import search_pb2_grpc
from tests.fakes.services import FakeEmbed, FakeRerank, FakeServer
from tests.running import gateway as gateways
from tests.running.gateway import metric
from tests.running.model_service import RunningService
from tests.running.redis_server import RedisServer
from tests.running.waiting import until

SEARCH = pb.SearchRequest(collection="c", query="word3 word4")


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def rerank() -> AsyncIterator[FakeServer]:
    server = FakeServer(FakeRerank())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def flags(redis_server: RedisServer, rerank: FakeServer) -> AsyncIterator[list[str]]:
    embed = FakeServer(FakeEmbed())
    await embed.start()
    yield [
        f"--embed={embed.target}",
        f"--rerank={rerank.target}",
        f"--cache-url={redis_server.url}",
        f"--index-url={redis_server.url}",
        "--max-searches=16",
    ]
    await embed.stop()


@pytest.fixture
async def gateway(flags: list[str], tmp_path: Path) -> AsyncIterator[RunningService]:
    started = gateways.start(tmp_path, *flags)
    try:
        await asyncio.to_thread(started.wait_until, True, gateways.READY_SECONDS)
        async with grpc.aio.insecure_channel(started.address) as channel:
            stub = search_pb2_grpc.SearchServiceStub(channel)
            await stub.CreateCollection(pb.CreateCollectionRequest(name="c"))
            await stub.Upsert(pb.UpsertRequest(collection="c", documents=map(document, range(20))))
        yield started
    finally:
        started.process.terminate()
        await asyncio.to_thread(started.process.wait, 60)


def document(number: int) -> pb.Document:
    return pb.Document(id=f"d{number}", text=f"word{number} and word{number + 1}")


def stub_of(channel: grpc.aio.Channel) -> Any:
    return search_pb2_grpc.SearchServiceStub(channel)


async def test_sigterm_lets_calls_finish(gateway: RunningService, rerank: FakeServer) -> None:
    rerank.servicer.faults.delay = 1.0
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        under_way = asyncio.ensure_future(stub_of(channel).Search(SEARCH))
        await until(lambda: rerank.servicer.calls)
        gateway.process.send_signal(signal.SIGTERM)
        reply = await under_way
    assert reply.hits[0].id == "d3"
    assert not reply.degraded
    assert await asyncio.to_thread(gateway.process.wait, 30) == 0


async def test_a_burst_is_refused_at_once_and_forgotten_at_once(gateway: RunningService, rerank: FakeServer) -> None:
    rerank.servicer.faults.delay = 0.2
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = stub_of(channel)
        results = await asyncio.gather(*(stub.Search(SEARCH) for _ in range(160)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
        assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert len(results) - len(refused) >= 16
        rerank.servicer.faults.delay = 0.0
        assert (await stub.Search(SEARCH)).hits[0].id == "d3"
    assert metric(gateway, 'siftline_in_flight{kind="search"') == 0


async def test_memory_stays(gateway: RunningService) -> None:
    """After a warm-up, thousands of searches, hits and misses of the cache alike, leave nothing behind."""
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = stub_of(channel)

        async def search(first: int, count: int) -> None:
            for number in range(first, first + count):
                await stub.Search(pb.SearchRequest(collection="c", query=f"word{number % 50} word{number % 7}"))

        await asyncio.gather(*(search(worker, 150) for worker in range(8)))
        before = _resident_kib(gateway)
        await asyncio.gather(*(search(worker, 500) for worker in range(8)))
    assert _resident_kib(gateway) < before * 1.05


def _resident_kib(gateway: RunningService) -> int:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
