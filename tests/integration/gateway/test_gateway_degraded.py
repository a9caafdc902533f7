"""The second stage slow, down, overloaded or wrong: recall order within the deadline, and the reason."""

import asyncio
from typing import Any

import grpc
import pytest

from gateway import reranking
from serving.errors import Internal, InvalidArgument, Overloaded, Unavailable
from siftline.search.v1 import search_pb2 as pb
from tests.running.waiting import until

SECONDS = 30.0


@pytest.fixture
async def filled(gateway: Any) -> Any:
    await fill(gateway)
    return gateway


async def fill(gateway: Any) -> None:
    await gateway.until_ready()
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"))
    documents = [pb.Document(id=f"d{n}", text=f"word{n} and word{n + 1}") for n in range(20)]
    await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=documents))


async def search(gateway: Any, timeout: float = SECONDS, **more: Any) -> pb.SearchResponse:
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


async def test_a_query_that_the_reranker_cannot_read(filled: Any) -> None:
    """Recall order, as often as it is asked: the service is well, so no circuit opens."""
    for unknown in (0.76, 1.0) * 5:
        filled.rerank.unknown = unknown
        reply = await search(filled, adaptive=unknown == 1.0, min_score=0.99)
        assert list(reply.degraded) == [pb.DEGRADED_RERANK_UNREADABLE]
        assert is_recall_order(reply)
        assert (reply.reranked, reply.rerank_fingerprint) == (0, "")
    filled.rerank.unknown = 0.75
    reply = await search(filled)
    assert not reply.degraded
    assert reply.hits[0].id == "d3"


async def test_a_gateway_that_reranks_whatever_comes(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, rerank_max_unknown=1)
    await fill(gateway)
    gateway.rerank.unknown = 1.0
    reply = await search(gateway)
    assert not reply.degraded
    assert reply.hits[0].id == "d3"


async def test_slow_within_the_callers_deadline(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reranking, "_REPLY_S", 0.6)  # longer than a busy machine takes for the answer's way
    filled.rerank.faults.held = asyncio.Event()  # that nobody sets
    reply = await search(filled, timeout=3)
    assert list(reply.degraded) == [pb.DEGRADED_RERANK_TIMEOUT]
    assert is_recall_order(reply)


async def test_slow_within_the_gateways_budget(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, rerank_budget_s=0.2)
    await fill(gateway)
    gateway.rerank.faults.held = asyncio.Event()  # that nobody sets
    reply = await search(gateway)
    assert gateway.rerank.seconds_left <= 0.25
    assert list(reply.degraded) == [pb.DEGRADED_RERANK_TIMEOUT]


async def test_down_and_back(filled: Any) -> None:
    await filled.rerank_server.stop()
    for _ in range(20):
        reply = await search(filled)
        assert list(reply.degraded) == [pb.DEGRADED_RERANK_UNAVAILABLE]
        assert is_recall_order(reply)
    assert await filled.is_serving()
    await filled.rerank_server.start()
    async with asyncio.timeout(SECONDS):
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
    """What is cached is still found by its vector, the rest by its words; the gateway stays in service."""
    cached = await search(filled)
    await filled.embed_server.stop()
    await asyncio.sleep(0.3)
    assert await filled.is_serving()
    again = await search(filled)
    assert [hit.id for hit in again.hits] == [hit.id for hit in cached.hits]
    assert not again.degraded
    request = pb.SearchRequest(collection="c", query="word7 never asked before")
    reply = await filled.searches.Search(request)
    assert list(reply.degraded) == [pb.DEGRADED_EMBED_UNAVAILABLE]
    assert {hit.id for hit in reply.hits} == {"d6", "d7"}
    assert all(hit.HasField("rerank_logit") for hit in reply.hits)
    assert not reply.embed_fingerprint
    await filled.embed_server.start()
    async with asyncio.timeout(SECONDS):
        while (await filled.searches.Search(request)).degraded:
            await asyncio.sleep(0.05)


async def test_embed_that_hangs(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, embed_budget_s=0.2)
    await fill(gateway)
    gateway.embed.faults.held = asyncio.Event()  # that nobody sets
    reply = await search(gateway, recall=pb.RECALL_MODE_HYBRID)
    assert gateway.embed.seconds_left <= 0.25
    assert list(reply.degraded) == [pb.DEGRADED_EMBED_UNAVAILABLE]
    assert reply.hits[0].id == "d3"


async def test_words_may_be_forbidden_to_stand_in(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, words_instead=False)
    await fill(gateway)
    await gateway.embed_server.stop()
    await gateway.until_ready(False)
    assert not await gateway.is_serving()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await search(gateway)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    await gateway.embed_server.start()
    await gateway.until_ready()
    assert (await search(gateway)).hits


async def test_a_budget_cuts_the_second_stage_only(filled: Any) -> None:
    filled.rerank.faults.held = asyncio.Event()  # that nobody sets
    reply = await search(filled, budget_ms=200)
    assert filled.rerank.seconds_left <= 0.25
    assert list(reply.degraded) == [pb.DEGRADED_RERANK_TIMEOUT]
    assert is_recall_order(reply)
    tiny = await search(filled, budget_ms=1)
    assert list(tiny.degraded) == [pb.DEGRADED_RERANK_TIMEOUT]
    assert is_recall_order(tiny)


async def test_more_searches_than_there_is_room_for(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, max_searches=4)
    await fill(gateway)
    gateway.rerank.faults.held = asyncio.Event()
    searches = [asyncio.create_task(search(gateway)) for _ in range(12)]
    await until(lambda: sum(each.done() for each in searches) >= 8)
    gateway.rerank.faults.held.set()
    results = await asyncio.gather(*searches, return_exceptions=True)
    refused = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    assert len(refused) == 8
    assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    pushback = [value for key, value in refused[0].trailing_metadata() if key == "grpc-retry-pushback-ms"]
    assert int(pushback[0]) > 0
    assert not (await search(gateway)).degraded


async def test_passages_too_long_to_be_read_whole_are_read_from_their_beginning(filled: Any) -> None:
    documents = [pb.Document(id=f"long{n}", text=f"word3 word4 long{n} " + "filler " * 3000) for n in range(10)]
    await filled.searches.Upsert(pb.UpsertRequest(collection="c", documents=documents))
    for _ in range(8):  # more often than the breaker has patience
        reply = await search(filled, recall_depth=30, top_k=30)
        assert not reply.degraded
        assert filled.rerank.calls[-2:] == [30, 30]


async def test_passages_go_out_in_parts_of_what_the_service_takes(filled: Any) -> None:
    documents = [pb.Document(id=f"e{n}", text=f"more{n}") for n in range(1000)]
    await filled.searches.Upsert(pb.UpsertRequest(collection="c", documents=documents))
    reply = await search(filled, recall_depth=1000)
    assert reply.recalled == 1000
    assert filled.rerank.calls == [1000]
    assert reply.hits[0].id == "d3"
