"""A collection rebuilt while it is searched and written: nothing lost, nothing mixed, nothing refused."""

import asyncio
import random
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, struct_pb2

from serving.errors import Internal
from siftline.search.v1 import search_pb2 as pb
from tests.running.waiting import until


def document(number: int, text: str | None = None) -> pb.Document:
    metadata = json_format.ParseDict({"kind": f"k{number % 3}", "year": number}, struct_pb2.Struct())
    return pb.Document(id=f"d{number}", text=text or f"word{number} and word{number + 1}", metadata=metadata)


async def fill(gateway: Any, count: int = 200) -> None:
    await gateway.until_ready()
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"))
    await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=map(document, range(count))))


async def everything(gateway: Any, count: int) -> dict[str, str]:
    request = pb.GetRequest(collection="c", ids=[f"d{number}" for number in range(count)])
    return {one.id: one.text for one in (await gateway.searches.Get(request)).documents}


async def search(gateway: Any, query: str = "word7 word8", **more: Any) -> pb.SearchResponse:
    reply: pb.SearchResponse = await gateway.searches.Search(pb.SearchRequest(collection="c", query=query, **more))
    return reply


async def test_to_new_fields_with_the_same_model(gateway: Any) -> None:
    await fill(gateway)
    calls = len(gateway.embed.calls)
    with pytest.raises(grpc.aio.AioRpcError):
        await search(gateway, filter="year < 5")
    fields = pb.Fields(fields=[pb.Field(name="kind", type=1), pb.Field(name="year", type=2)])
    reply = await gateway.searches.Reindex(pb.ReindexRequest(name="c", fields=fields))
    assert (reply.documents, reply.reused, reply.tokens, reply.collection.count) == (200, 200, 0, 200)
    assert len(gateway.embed.calls) == calls
    found = await search(gateway, filter='year < 5 AND kind = "k1"')
    assert sorted(hit.id for hit in found.hits) == ["d1", "d4"]
    assert (await search(gateway)).hits[0].id == "d7"


async def test_to_a_new_model(gateway: Any, redis_server: Any) -> None:
    await fill(gateway)
    gateway.embed.fingerprint, gateway.embed.seed = "9" * 32, "new weights"
    reply = await gateway.searches.Reindex(pb.ReindexRequest(name="c"))
    assert reply.collection.fingerprint == "9" * 32
    assert (reply.documents, reply.reused, reply.collection.count) == (200, 0, 200)
    found = await search(gateway)
    assert found.hits[0].id == "d7"
    assert found.embed_fingerprint == "9" * 32
    with redis_server.client as client:  # the old documents stay for searches that began before, then they go
        assert len(client.execute_command("FT._LIST")) == 2
        (old,) = client.zrange("siftline:dropped", 0, -1)
        client.zadd("siftline:dropped", {old: 0})
    await until(lambda: len(redis_server.client.execute_command("FT._LIST")) == 1)
    assert len(redis_server.client.keys("siftline:d:*")) == 200
    assert (await search(gateway)).hits[0].id == "d7"


async def test_weights_and_names_are_kept(gateway: Any) -> None:
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c", recall_weight=3.5))
    reply = await gateway.searches.Reindex(pb.ReindexRequest(name="c"))
    assert (reply.collection.name, reply.collection.recall_weight) == ("c", 3.5)


@pytest.mark.parametrize("new_model", [False, True])
async def test_under_writes_and_searches(gateways: Any, redis_server: Any, new_model: bool) -> None:
    """Every acknowledged write and delete is there afterwards, whenever it came; no search fails or mixes models."""
    old = await gateways.start(redis_server.url)
    await fill(old, 600)
    new = await gateways.start(redis_server.url)
    if new_model:
        new.embed.fingerprint, new.embed.seed = "9" * 32, "new weights"
        old.embed.faults.delay = new.embed.faults.delay = 0.02
    await new.until_ready()
    writer = new if not new_model else old
    expected = {f"d{number}": document(number).text for number in range(600)}
    done = asyncio.Event()
    failures: list[grpc.aio.AioRpcError] = []

    async def write(first: int) -> None:
        dice, version = random.Random(first), 0
        while not done.is_set():
            number, version = first + 3 * dice.randrange(200), version + 1
            if dice.random() < 0.3:
                await writer.searches.Delete(pb.DeleteRequest(collection="c", ids=[f"d{number}"]))
                expected.pop(f"d{number}", None)
            else:
                text = f"word{number} version{version}"
                await writer.searches.Upsert(pb.UpsertRequest(collection="c", documents=[document(number, text)]))
                expected[f"d{number}"] = text

    async def look() -> None:
        while not done.is_set():
            reply = await search(writer, rerank=pb.RERANK_MODE_OFF)
            assert len(reply.hits) == 10
            assert reply.embed_fingerprint == writer.embed.fingerprint

    async def until_the_model_is_gone(work: Any) -> None:
        """The old gateway's model does not fit any more once the new collection is in place, and it says so."""
        try:
            await work
        except grpc.aio.AioRpcError as error:
            if not new_model or error.code() != grpc.StatusCode.FAILED_PRECONDITION:
                raise
            failures.append(error)

    work = [asyncio.create_task(until_the_model_is_gone(write(first))) for first in range(3)]
    work.append(asyncio.create_task(until_the_model_is_gone(look())))
    await asyncio.sleep(0.2)
    reply = await new.searches.Reindex(pb.ReindexRequest(name="c"), timeout=60)
    assert reply.documents >= 300
    await asyncio.sleep(0.2)
    await until(lambda: failures or not new_model)
    done.set()
    await asyncio.gather(*work)
    assert await everything(new, 600) == expected
    count = (await new.searches.Count(pb.CountRequest(collection="c"))).count
    assert count == len(expected)
    assert bool(failures) == new_model


async def test_interrupted_it_changes_nothing_and_goes_on_where_it_was(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, upsert_batch=16, upsert_overlap=1)
    await fill(gateway)
    gateway.embed.fingerprint, gateway.embed.seed = "9" * 32, "new weights"
    gateway.embed.faults.error, gateway.embed.faults.spared = Internal("bug"), 6
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Reindex(pb.ReindexRequest(name="c"))
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    gateway.embed.faults.error = None
    await until(lambda: not redis_server.client.keys("siftline:[fj]:*"))
    record = (await gateway.searches.GetCollection(pb.GetCollectionRequest(name="c"))).collection
    assert (record.fingerprint, record.count) == ("f" * 32, 200)
    reply = await gateway.searches.Reindex(pb.ReindexRequest(name="c"))
    assert reply.documents == 200
    assert 0 < reply.reused < 200
    assert (await search(gateway)).hits[0].id == "d7"


async def halfway(gateway: Any) -> "asyncio.Future[pb.ReindexResponse]":
    """A reindexing whose first vectors come when `held` is set."""
    gateway.embed.faults.held = asyncio.Event()
    gateway.embed.calls.clear()
    running = asyncio.ensure_future(gateway.searches.Reindex(pb.ReindexRequest(name="c")))
    await until(lambda: gateway.embed.calls)
    return running


async def test_one_at_a_time(gateway: Any) -> None:
    await fill(gateway)
    gateway.embed.fingerprint = "9" * 32
    first = await halfway(gateway)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Reindex(pb.ReindexRequest(name="c"))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    gateway.embed.faults.held.set()
    assert (await first).documents == 200


async def test_dropped_meanwhile(gateway: Any) -> None:
    await fill(gateway)
    gateway.embed.fingerprint = "9" * 32
    running = await halfway(gateway)
    await gateway.searches.DropCollection(pb.DropCollectionRequest(name="c"))
    gateway.embed.faults.held.set()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running
    assert caught.value.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
    assert not (await gateway.searches.ListCollections(pb.ListCollectionsRequest())).collections


async def test_documents_that_do_not_fit_the_new_fields(gateway: Any) -> None:
    await fill(gateway)
    fields = pb.Fields(fields=[pb.Field(name="kind", type=pb.FIELD_TYPE_NUMBER)])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Reindex(pb.ReindexRequest(name="c", fields=fields))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "metadata.kind" in caught.value.details()
    await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=[document(7)]))
    assert (await search(gateway)).hits[0].id == "d7"


async def test_unknown_collection(gateway: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Reindex(pb.ReindexRequest(name="nope"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
