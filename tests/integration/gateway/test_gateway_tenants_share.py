"""A tenant that floods the gateway with calls of a kind, and one that makes a few."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from siftline.embed.v1 import embed_pb2
from siftline.search.v1 import search_pb2 as pb
from tests.integration.gateway.test_gateway_keys import ALL, entry
from tests.running.waiting import until

MOST, FLOOD = 4, 16
NUMBERS = count()

# Each says None when the call was answered; else the seconds after which to come back.
Answered = Callable[[Any, str], Awaitable[float | None]]


async def search(gateway: Any, key: str) -> float | None:
    request = pb.SearchRequest(collection="c", query="word1")
    return await pause(gateway.searches.Search(request, metadata=(("x-api-key", key),), timeout=60))


async def embed(gateway: Any, key: str) -> float | None:
    request = embed_pb2.EmbedRequest(texts=[f"word{next(NUMBERS)}"])
    return await pause(gateway.embeds.Embed(request, metadata=(("x-api-key", key),), timeout=60))


async def upsert(gateway: Any, key: str) -> float | None:
    documents = [pb.Document(id="b", text=f"word{next(NUMBERS)}")]
    request = pb.UpsertRequest(collection="c", documents=documents)
    return await pause(gateway.searches.Upsert(request, metadata=(("x-api-key", key),), timeout=60))


async def pause(call: Any) -> float | None:
    if await call.code() == grpc.StatusCode.OK:
        return None
    assert await call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    return int(dict(await call.trailing_metadata())["grpc-retry-pushback-ms"]) / 1000


async def rerank_over_http(gateway: Any, key: str) -> float | None:
    """For most clients of HTTP a pause is of whole seconds."""
    body = {"model": "fake", "query": "word1", "documents": ["word1", "word2"]}
    async with httpx.AsyncClient(timeout=20, verify=False) as client:
        answer = await client.post(f"{gateway.url}/v1/rerank", json=body, headers={"x-api-key": key})
    if answer.status_code == 200:
        return None
    assert answer.status_code == 429
    return float(answer.headers["retry-after"])


@pytest.fixture
async def shared(gateways: Any, redis_server: Any, tmp_path: Path) -> Any:
    keys = tmp_path / "keys.toml"
    keys.write_text("".join(entry(name, *ALL, tenant=name) for name in ("flood", "few")))
    gateway = await gateways.start(
        redis_server.url, keys_file=keys, max_searches=MOST, max_embeds=MOST, max_reranks=MOST, max_upserts=MOST
    )
    await gateway.until_ready()
    for name in ("flood", "few"):
        key = (("x-api-key", name),)
        await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"), metadata=key)
        documents = [pb.Document(id="a", text="word1 word2")]
        await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=documents), metadata=key)
    gateway.rerank.faults.delay = gateway.embed.faults.delay = 0.1
    return gateway


@pytest.mark.parametrize(("answered", "calls"), [(search, 6), (embed, 6), (upsert, 6), (rerank_over_http, 2)])
async def test_a_flood_does_not_keep_the_others_out(shared: Any, answered: Answered, calls: int) -> None:
    """The flood comes back at once, whatever it is told."""
    stop, served = asyncio.Event(), 0

    async def flood() -> None:
        nonlocal served
        while not stop.is_set():
            whole = await answered(shared, "flood") is None
            served += whole  # in one step: the others count while this one waits

    floods = [asyncio.create_task(flood()) for _ in range(FLOOD)]
    await until(lambda: served)
    before, tries = served, []
    for _ in range(calls):
        tries.append(1)
        while (seconds := await answered(shared, "few")) is not None:
            tries[-1] += 1
            await asyncio.sleep(seconds)
    during = served - before
    stop.set()
    await asyncio.gather(*floods)
    assert during > 0, "it has its share"
    assert max(tries) <= 8, tries
