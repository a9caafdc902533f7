"""The second stage slow, down, overloaded or wrong: recall order within the deadline, and the reason."""

import asyncio
import time
from typing import Any

import grpc
import pytest

from serving.errors import Internal, InvalidArgument, Overloaded, Unavailable
from siftline.search.v1 import search_pb2 as pb


@pytest.fixture
async def filled(gateway: Any) -> Any:
    await fill(gateway)
    return gateway


async def fill(gateway: Any) -> None:
    await gateway.until_ready()
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"))
    documents = [pb.Document(id=f"d{n}", text=f"word{n} and word{n + 1}") for n in range(20)]
    await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=documents))


async def search(gateway: Any, timeout: float = 10, **more: Any) -> pb.SearchResponse:
    request = pb.SearchRequest(collection="c", query="word3 word4", **more)
    reply: pb.SearchResponse = await gateway.searches.Search(request, timeout=timeout)
    return reply


def is_recall_order(reply: pb.SearchResponse) -> bool:
    ranks = [hit.recall_rank for hit in reply.hits]
    return ranks == list(range(1, 11)) and not any(hit.HasField("rerank_logit") for hit in reply.hits)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Overloaded("full", retry_after=1), pb.DEGRADED_RERANK_OVERLOADED),
        (Unavailable("loading"), pb.DEGRADED_RERANK_UNAVAILABLE),
        (Internal("bug"), pb.DEGRADED_RERANK_UNAVAILABLE),
        (InvalidArgument("passages", "2000; the limit is 1000"), pb.DEGRADED_RERANK_UNAVAILABLE),
    ],
)
async def test_failures(filled: Any, error: Any, reason: Any) -> None:
    filled.rerank.faults.error = error
    reply = await search(filled)
    assert list(reply.degraded) == [reason]
    assert is_recall_order(reply)
    assert not reply.rerank_fingerprint
    filled.rerank.faults.error = None
    reply = await search(filled)
    assert not reply.degraded
    assert reply.hits[0].id == "d3"


async def test_slow_within_the_callers_deadline(filled: Any) -> None:
    filled.rerank.faults.delay = 5
    started = time.monotonic()
    reply = await search(filled, timeout=0.5)
    assert time.monotonic() - started < 0.5
    assert list(reply.degraded) == [pb.DEGRADED_RERANK_TIMEOUT]
    assert is_recall_order(reply)


async def test_slow_within_the_gateways_budget(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, rerank_budget_s=0.2)
    await fill(gateway)
    gateway.rerank.faults.delay = 5
    started = time.monotonic()
    reply = await search(gateway, timeout=10)
    assert time.monotonic() - started < 1
    assert list(reply.degraded) == [pb.DEGRADED_RERANK_TIMEOUT]


async def test_down_and_back(filled: Any) -> None:
    await filled.rerank_server.stop()
    for _ in range(20):
        reply = await search(filled)
        assert list(reply.degraded) == [pb.DEGRADED_RERANK_UNAVAILABLE]
        assert is_recall_order(reply)
    assert await filled.is_serving()
    await filled.rerank_server.start()
    async with asyncio.timeout(10):
        while (await search(filled)).degraded:
            await asyncio.sleep(0.05)


async def test_never_there(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, rerank="127.0.0.1:1")
    await fill(gateway)
    assert list((await search(gateway)).degraded) == [pb.DEGRADED_RERANK_UNAVAILABLE]


async def test_a_deployment_without_one(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, rerank="")
    await fill(gateway)
    assert is_recall_order(await search(gateway))


async def test_min_score_is_for_scores_that_are_there(filled: Any) -> None:
    """A floor on the rerank score can't be applied to cosines: a degraded answer keeps its hits."""
    filled.rerank.faults.error = Unavailable("loading")
    assert len((await search(filled, min_score=0.99)).hits) == 10


async def test_embed_down_and_back(filled: Any) -> None:
    cached = await search(filled)
    await filled.embed_server.stop()
    await filled.until_ready(False)
    assert not await filled.is_serving()
    assert [hit.id for hit in (await search(filled)).hits] == [hit.id for hit in cached.hits]
    request = pb.SearchRequest(collection="c", query="never asked before")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await filled.searches.Search(request)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    await filled.embed_server.start()
    await filled.until_ready()
    assert (await filled.searches.Search(request)).hits


async def test_passages_go_out_in_parts_of_what_the_service_takes(filled: Any) -> None:
    documents = [pb.Document(id=f"e{n}", text=f"more{n}") for n in range(1000)]
    await filled.searches.Upsert(pb.UpsertRequest(collection="c", documents=documents))
    reply = await search(filled, recall_depth=1000)
    assert reply.recalled == 1000
    assert filled.rerank.calls == [1000]
    assert reply.hits[0].id == "d3"
