"""A tenant that floods the gateway with searches, and one that makes a few."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from siftline.search.v1 import search_pb2 as pb
from tests.integration.gateway.test_gateway_keys import ALL, entry

MOST, FLOOD = 4, 16


async def answered(gateway: Any, key: str) -> float | None:
    """None when the search was; else the seconds after which to come back."""
    call = gateway.searches.Search(
        pb.SearchRequest(collection="c", query="word1"), metadata=(("x-api-key", key),), timeout=20
    )
    if await call.code() == grpc.StatusCode.OK:
        return None
    assert await call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    return int(dict(await call.trailing_metadata())["grpc-retry-pushback-ms"]) / 1000


@pytest.fixture
async def shared(gateways: Any, redis_server: Any, tmp_path: Path) -> Any:
    keys = tmp_path / "keys.toml"
    keys.write_text("".join(entry(name, *ALL, tenant=name) for name in ("flood", "few")))
    gateway = await gateways.start(redis_server.url, keys_file=keys, max_searches=MOST)
    await gateway.until_ready()
    for name in ("flood", "few"):
        key = (("x-api-key", name),)
        await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"), metadata=key)
        documents = [pb.Document(id="a", text="word1 word2")]
        await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=documents), metadata=key)
    gateway.rerank.faults.delay = 0.1
    return gateway


async def test_a_flood_does_not_keep_the_others_out(shared: Any) -> None:
    """The flood comes back at once, whatever it is told."""
    stop, served = asyncio.Event(), 0

    async def flood() -> None:
        nonlocal served
        while not stop.is_set():
            whole = await answered(shared, "flood") is None
            served += whole  # in one step: the others count while this one waits

    floods = [asyncio.create_task(flood()) for _ in range(FLOOD)]
    async with asyncio.timeout(20):
        while not served:
            await asyncio.sleep(0.05)
    before, tries = served, []
    for _ in range(6):
        tries.append(1)
        while (pause := await answered(shared, "few")) is not None:
            tries[-1] += 1
            await asyncio.sleep(pause)
    during = served - before
    stop.set()
    await asyncio.gather(*floods)
    assert during > 0, "it has its share"
    assert max(tries) <= 8, tries
