"""The second stage begins while the query is embedded: with what it will be asked for, sent once, scored once."""

import asyncio
from typing import Any

import pytest

from gateway.clients import RerankClient, Service
from gateway.deadline import Deadline
from gateway.metrics import HEAD_START
from gateway.query import Hit, Query, RecallMode
from gateway.recall import Document, Passage
from gateway.reranking import Reranking
from gateway.scoring import Scoring
from serving.errors import Overloaded, Unavailable
from siftline.rerank.v1 import rerank_pb2
from siftline.search.v1 import search_pb2 as pb
from tests.running.model_service import RunningService
from tests.running.waiting import until

FILLER = " ".join(f"filler{n}" for n in range(120))
LOGIT_BF16 = 0.1  # as in tests/integration/services/test_rerank_service.py: of one pair, whatever else is in its batch


@pytest.fixture
async def filled(gateways: Any, redis_server: Any) -> Any:
    gateway = await gateways.start(redis_server.url, rerank_head_start=True)
    await gateway.until_ready()
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"))
    texts = [f"common word{n} word{n + 1} and of its own{n} {FILLER}" for n in range(80)]
    documents = [pb.Document(id=f"d{n}", title=f"t{n}", text=text) for n, text in enumerate(texts)]
    await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=documents))
    return gateway


def asked(query: str = "common word3 word4", **more: Any) -> pb.SearchRequest:
    return pb.SearchRequest(collection="c", query=query, **({"recall": pb.RECALL_MODE_HYBRID} | more))


def counted() -> tuple[float, float]:
    used, unused = (HEAD_START.labels(outcome)._value.get() for outcome in ("used", "unused"))
    return used, unused


async def begun(gateway: Any, **more: Any) -> "asyncio.Task[pb.SearchResponse]":
    """A search whose query is held up until `go`, and of which a head of 16 is with the second stage."""
    gateway.embed.faults.held = asyncio.Event()
    searching = asyncio.ensure_future(gateway.searches.Search(asked(**more)))
    await until(lambda: gateway.rerank.calls == [16])
    assert not searching.done()
    return searching


def go(gateway: Any) -> None:
    gateway.embed.faults.held.set()


async def test_the_answer_is_the_same_and_no_text_is_read_or_sent_twice(
    filled: Any, gateways: Any, redis_server: Any
) -> None:
    before = counted()
    with redis_server.client as client:
        sent_before = client.info("stats")["total_net_output_bytes"]
        searching = await begun(filled)
        go(filled)
        reply = await searching
        sent = client.info("stats")["total_net_output_bytes"] - sent_before
    assert len(filled.rerank.passages) == len(set(filled.rerank.passages)) == 50
    assert sent < 1.3 * sum(map(len, filled.rerank.passages))
    assert sum(counted()) - sum(before) == 16
    without = await gateways.start(redis_server.url)
    plain = await without.searches.Search(asked())
    assert without.rerank.calls == [50]
    assert list(plain.hits) == list(reply.hits)
    assert (plain.recalled, plain.reranked) == (reply.recalled, reply.reranked) == (50, 50)
    timings = reply.timings
    assert timings.total_us >= timings.embed_us + timings.recall_us + timings.rerank_us


async def test_a_query_that_can_not_be_embedded_has_use_for_it(filled: Any) -> None:
    searching = await begun(filled)
    filled.embed.faults.error = Unavailable("loading")
    go(filled)
    reply = await searching
    assert list(reply.degraded) == [pb.DEGRADED_EMBED_UNAVAILABLE]
    assert filled.rerank.calls == [16, 34]
    assert len(set(filled.rerank.passages)) == 50
    assert all(hit.HasField("rerank_logit") and hit.text for hit in reply.hits)


async def test_a_query_that_may_not_be_searched_by_words_gives_it_up(
    gateways: Any, filled: Any, redis_server: Any
) -> None:
    gateway = await gateways.start(redis_server.url, words_instead=False, rerank_head_start=True)
    gateway.rerank.faults.held = asyncio.Event()
    searching = await begun(gateway)
    gateway.embed.faults.error = Unavailable("loading")
    go(gateway)
    with pytest.raises(Exception, match="UNAVAILABLE"):
        await searching
    await until(lambda: gateway.rerank.faults.waiting == 0)


async def test_a_client_that_goes_takes_it_along(filled: Any) -> None:
    filled.rerank.faults.held = asyncio.Event()
    before = counted()
    searching = await begun(filled)
    await until(lambda: filled.rerank.faults.waiting == 1)
    searching.cancel()
    await until(lambda: filled.rerank.faults.waiting == 0)
    assert counted() == (before[0], before[1] + 16)


async def test_a_head_that_is_refused_costs_the_search_nothing(filled: Any) -> None:
    filled.rerank.faults.error = Overloaded("full", retry_after=1)
    searching = await begun(filled)
    filled.rerank.faults.error = None
    go(filled)
    reply = await searching
    assert not reply.degraded
    assert reply.reranked == 50


async def test_a_second_stage_that_stays_full_is_the_reason_given(filled: Any) -> None:
    filled.rerank.faults.error = Overloaded("full", retry_after=1)
    searching = await begun(filled)
    go(filled)
    reply = await searching
    assert list(reply.degraded) == [pb.DEGRADED_RERANK_OVERLOADED]
    assert [hit.recall_rank for hit in reply.hits] == list(range(1, 11))


async def test_the_budget_is_that_of_the_search(gateways: Any, filled: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, rerank_budget_s=60, rerank_head_start=True)
    searching = await begun(gateway, budget_ms=15_000)
    assert gateway.rerank.seconds_left < 15
    go(gateway)
    assert not (await searching).degraded


@pytest.mark.parametrize("more", [{"adaptive": True}, {"rerank": pb.RERANK_MODE_OFF}, {"words_weight": 0.1}])
async def test_when_it_is_not_made(filled: Any, redis_server: Any, more: dict[str, Any]) -> None:
    assert not await calls_while_held(filled, redis_server, **more)


async def test_not_at_a_second_stage_that_is_busy(filled: Any, redis_server: Any) -> None:
    filled.rerank.faults.held = asyncio.Event()
    other = asyncio.ensure_future(filled.reranks.Rerank(rerank_pb2.RerankRequest(query="q", passages=["a passage"])))
    await until(lambda: filled.rerank.faults.waiting == 1)
    assert await calls_while_held(filled, redis_server) == [1]
    filled.rerank.faults.held.set()
    await other


async def calls_while_held(gateway: Any, redis_server: Any, **more: Any) -> list[int]:
    """What the second stage was asked until BM25's list was there, and what the gateway does with it was done."""
    with redis_server.client as client:
        client.config_resetstat()
        gateway.embed.faults.held = asyncio.Event()
        searching = asyncio.ensure_future(gateway.searches.Search(asked(**more)))
        await until(lambda: "cmdstat_FT.SEARCH" in client.info("commandstats"))
    await until(lambda: gateway.embed.faults.waiting == 1)
    for _ in range(20):  # turns of the gateway's loop, which is this one
        await asyncio.sleep(0.005)
    calls = list(gateway.rerank.calls)
    searching.cancel()
    return calls


async def test_the_model_in_service_gives_the_same_scores(rerank_service: RunningService) -> None:
    client = RerankClient(Service(rerank_service.address))
    reranking = Reranking(client, budget_s=60, max_unknown=1)
    texts = [f"Passage {n}: " + "a batch is formed from rows of about the same length. " * (n % 7) for n in range(50)]
    hits = [Hit(Passage(Document(f"d{n}", text), text_rank=n + 1), n + 1, 0, 0) for n, text in enumerate(texts)]
    query = Query("c", "how are batches formed?", 10, 50, RecallMode.HYBRID)
    ahead = Scoring(reranking, query, Deadline(60), "", head_start=True)
    head = ahead.head([hit.passage for hit in hits])
    assert len(head) == 16
    ahead.begin(head)
    joined = hits[::-1]
    parted, whole = await ahead.scores(joined), await reranking.score(query.text, texts[::-1], 60)
    await client.aclose()
    assert (parted.fingerprint, len(parted.scores)) == (whole.fingerprint, len(whole.scores))
    assert [logit for logit, _ in parted.scores] == pytest.approx([logit for logit, _ in whole.scores], abs=LOGIT_BF16)
