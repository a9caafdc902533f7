"""The gateway as a process: killed, drained, flooded, left by its clients."""

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


async def test_kill_9_under_writes_loses_nothing_that_was_acknowledged(
    gateway: RunningService, flags: list[str], tmp_path: Path
) -> None:
    acknowledged: list[str] = []
    codes: list[grpc.StatusCode] = []

    async def write(stub: Any, first: int) -> None:
        for number in range(first, first + 100_000):
            try:
                await stub.Upsert(pb.UpsertRequest(collection="c", documents=[document(number)]), timeout=5)
            except grpc.aio.AioRpcError as error:
                codes.append(error.code())
                return
            acknowledged.append(f"d{number}")

    async with grpc.aio.insecure_channel(gateway.address) as channel:
        writers = [asyncio.create_task(write(stub_of(channel), first * 100_000)) for first in range(8)]
        while len(acknowledged) < 300:
            await asyncio.sleep(0.001)
        gateway.process.kill()
        await asyncio.gather(*writers)
    assert set(codes) == {grpc.StatusCode.UNAVAILABLE}
    again = gateways.start(tmp_path / "again", *flags)
    try:
        await asyncio.to_thread(again.wait_until, True, gateways.READY_SECONDS)
        async with grpc.aio.insecure_channel(again.address) as channel:
            reply = await stub_of(channel).Get(pb.GetRequest(collection="c", ids=acknowledged))
        assert [one.id for one in reply.documents] == acknowledged
    finally:
        again.process.terminate()
        await asyncio.to_thread(again.process.wait, 60)


async def test_sigterm_lets_calls_finish(gateway: RunningService, rerank: FakeServer) -> None:
    rerank.servicer.faults.delay = 1.0
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        under_way = asyncio.ensure_future(stub_of(channel).Search(SEARCH))
        await asyncio.sleep(0.3)
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


async def test_clients_that_vanish(gateway: RunningService, rerank: FakeServer) -> None:
    rerank.servicer.faults.delay = 0.5
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        for _ in range(20):
            calls = [asyncio.ensure_future(stub_of(channel).Search(SEARCH)) for _ in range(10)]
            await asyncio.sleep(0.03)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
    rerank.servicer.faults.delay = 0.0
    async with asyncio.timeout(5):
        while metric(gateway, 'siftline_in_flight{kind="search"') > 0:
            await asyncio.sleep(0.05)
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        assert not (await stub_of(channel).Search(SEARCH)).degraded


async def test_a_thousand_idle_clients(gateway: RunningService) -> None:
    apart = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(gateway.address, options=apart) for _ in range(1000)]
    try:
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        assert (await stub_of(channels[500]).Search(SEARCH)).hits[0].id == "d3"
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


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
