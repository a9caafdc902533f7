"""The index's Redis killed, stopped, full, emptied: what was acknowledged stays, what fails says so."""

import asyncio
import signal
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status
from prometheus_client import REGISTRY

from siftline.search.v1 import search_pb2 as pb
from tests.running.waiting import until


def batch(number: int, size: int = 25) -> list[pb.Document]:
    return [pb.Document(id=f"{number}-{n}", text=f"batch {number} text {n}") for n in range(size)]


async def create(gateway: Any) -> None:
    await gateway.until_ready()
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"))


async def test_kill_9_after_an_acknowledged_upsert_loses_nothing(gateways: Any, own_redis: Any) -> None:
    gateway = await gateways.start(own_redis.url)
    await create(gateway)
    acknowledged: list[str] = []

    async def write(start: int) -> None:
        for number in range(start, start + 1000):
            await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=batch(number)), timeout=10)
            acknowledged.extend(document.id for document in batch(number))

    writers = [asyncio.create_task(write(start)) for start in (0, 1000, 2000)]
    await until(lambda: len(acknowledged) >= 1500)
    own_redis.kill()
    seen = len(acknowledged)
    results = await asyncio.gather(*writers, return_exceptions=True)
    assert all(isinstance(result, grpc.aio.AioRpcError) for result in results)
    assert {result.code() for result in results} <= {  # type: ignore[union-attr]
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    own_redis.start()
    await gateway.until_ready()
    assert seen >= 1500
    for start in range(0, len(acknowledged), 1000):
        ids = acknowledged[start : start + 1000]
        reply = await gateway.searches.Get(pb.GetRequest(collection="c", ids=ids))
        assert [document.id for document in reply.documents] == ids
    count = (await gateway.searches.Count(pb.CountRequest(collection="c"))).count
    assert count >= len(acknowledged)
    found = await gateway.searches.Search(pb.SearchRequest(collection="c", query="batch 1001 text 3"))
    assert found.hits[0].text.startswith("batch 1001")


def _counted(code: str) -> float:
    method = "/siftline.search.v1.SearchService/Search"
    return REGISTRY.get_sample_value("siftline_grpc_requests_total", {"method": method, "code": code}) or 0.0


@pytest.mark.parametrize(("seconds", "code"), [(1.5, "DEADLINE_EXCEEDED"), (60.0, "CANCELLED")])
async def test_who_waited_in_vain_counts_as_an_error_and_who_left_does_not(
    gateways: Any, own_redis: Any, seconds: float, code: str
) -> None:
    gateway = await gateways.start(own_redis.url, cache_url="")
    await create(gateway)
    before = _counted(code)
    own_redis.signal(signal.SIGSTOP)
    call = gateway.searches.Search(pb.SearchRequest(collection="c", query="batch"), timeout=seconds)
    await until(lambda: REGISTRY.get_sample_value("siftline_in_flight", {"kind": "search"}))
    if code == "CANCELLED":
        call.cancel()
    with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
        await call
    await until(lambda: _counted(code) > before)


async def test_a_drop_that_a_crash_interrupts_is_finished_later(gateways: Any, own_redis: Any) -> None:
    gateway = await gateways.start(own_redis.url)
    await create(gateway)
    await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=batch(1)))
    with own_redis.client as client:  # the state after the registry's write and before the index's
        (uid,) = [name.decode().rpartition(":")[2] for name in client.execute_command("FT._LIST")]
        client.hdel("siftline:collections", "c")
        client.zadd("siftline:dropped", {uid: 0})
    own_redis.kill()
    await gateway.until_ready(False)
    own_redis.start()
    await gateway.until_ready()
    with own_redis.client as client:
        assert client.execute_command("FT._LIST") == []
        assert not client.keys("siftline:d:*")
        assert not client.exists("siftline:dropped")


async def test_an_index_that_hangs(gateways: Any, own_redis: Any) -> None:
    """What ends the search is not its caller's deadline, which has no details."""
    gateway = await gateways.start(own_redis.url, cache_url="", index_timeout_s=1.0)
    await create(gateway)
    own_redis.signal(signal.SIGSTOP)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Search(pb.SearchRequest(collection="c", query="q"), timeout=120)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert rpc_status.from_call(caught.value) is not None
    await gateway.until_ready(False)
    own_redis.signal(signal.SIGCONT)
    await gateway.until_ready()
    assert not (await gateway.searches.Search(pb.SearchRequest(collection="c", query="q"))).hits


async def test_an_index_that_is_full(gateways: Any, own_redis: Any) -> None:
    gateway = await gateways.start(own_redis.url)
    await create(gateway)
    await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=batch(1)))
    with own_redis.client as client:
        client.config_set("maxmemory", "1mb")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=batch(2)))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await gateway.searches.Search(pb.SearchRequest(collection="c", query="batch"))).hits
    with own_redis.client as client:
        client.config_set("maxmemory", "0")
    await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=batch(2)))


async def test_an_index_that_was_emptied(gateways: Any, own_redis: Any) -> None:
    gateway = await gateways.start(own_redis.url)
    await create(gateway)
    with own_redis.client as client:
        client.execute_command("FT.DROPINDEX", client.execute_command("FT._LIST")[0])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Search(pb.SearchRequest(collection="c", query="q"))
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    with own_redis.client as client:
        client.flushall()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Search(pb.SearchRequest(collection="c", query="q"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    await create(gateway)


async def test_writes_without_a_durable_disk_are_not_acknowledged(gateways: Any, own_redis: Any) -> None:
    """Append-only file off: WAITAOF refuses, and so do we, unless durability was switched off."""
    strict = await gateways.start(own_redis.url)
    await create(strict)
    with own_redis.client as client:
        client.config_set("appendonly", "no")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await strict.searches.Upsert(pb.UpsertRequest(collection="c", documents=batch(1)))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "append-only" in caught.value.details()
    lenient = pb.UpsertRequest(collection="c", documents=batch(2), durability=pb.DURABILITY_MEMORY)
    assert (await strict.searches.Upsert(lenient)).upserted == 25
    lax = await gateways.start(own_redis.url, index_durable=False)
    await lax.searches.Upsert(pb.UpsertRequest(collection="c", documents=batch(1)))
    strictly = pb.UpsertRequest(collection="c", documents=batch(1), durability=pb.DURABILITY_FSYNC)
    with pytest.raises(grpc.aio.AioRpcError):
        await lax.searches.Upsert(strictly)
