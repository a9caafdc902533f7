"""`siftline cache` against a gateway: what is held by model, filled, and forgotten."""

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from siftline.cache.v1 import cache_pb2, cache_pb2_grpc
from siftline.cli import main
from siftline.search.v1 import search_pb2 as pb

OLD = b"siftline:e1:" + b"0" * 16 + b":"


async def siftline(gateway: Any, *arguments: str) -> int:
    return await asyncio.to_thread(main, ["cache", *arguments, f"--address={gateway.target}"])


async def held(gateway: Any, capsys: Any, *arguments: str) -> dict[str, Any]:
    assert await siftline(gateway, "stats", *arguments) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


async def test_stats_warm_and_purge(gateway: Any, redis_server: Any, tmp_path: Path, capsys: Any) -> None:
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c"))
    assert (await held(gateway, capsys))["models"] == []
    queries = tmp_path / "queries.txt"
    queries.write_text("one\ntwo\n\none\n" + "\n".join(f"query {n}" for n in range(2000)))
    assert await siftline(gateway, "warm", str(queries)) == 0
    assert "queries embedded" in capsys.readouterr().out
    async with asyncio.timeout(30):
        while (known := (await held(gateway, capsys))["models"]) == [] or known[0]["entries"] < 2002:
            await asyncio.sleep(0.05)
    assert known == [{"fingerprint": "f" * 16, "entries": 2002, "bytes": 2002 * (22 + 64), "in_service": True}]
    reply = await gateway.searches.Search(pb.SearchRequest(collection="c", query="query 77"))
    assert reply.timings.embedding_cached
    with redis_server.client as client:
        client.mset({OLD + str(n).encode(): b"v" for n in range(10)})
        client.set("siftline:other", "kept")
    both = (await held(gateway, capsys))["models"]
    assert [(one["fingerprint"], one["entries"], one["in_service"]) for one in both] == [
        ("f" * 16, 2002, True),
        ("0" * 16, 10, False),
    ]
    assert len((await held(gateway, capsys, "--model", "0" * 32))["models"]) == 1
    assert await siftline(gateway, "purge", "--model", "0" * 32) == 0
    assert capsys.readouterr().out == "10 entries removed\n"
    assert await siftline(gateway, "purge", "--all") == 0
    assert capsys.readouterr().out == "2002 entries removed\n"
    with redis_server.client as client:
        assert client.get("siftline:other") == b"kept"


@pytest.mark.parametrize("fingerprint", ["f", "*" * 16, "f" * 15 + "*", "f" * 15 + "["])
async def test_a_fingerprint_is_no_pattern(gateway: Any, fingerprint: str) -> None:
    async with grpc.aio.insecure_channel(gateway.target) as channel:
        stub: Any = cache_pb2_grpc.CacheServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Purge(cache_pb2.PurgeRequest(fingerprint=fingerprint))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_without_a_cache(gateways: Any, redis_server: Any, capsys: Any) -> None:
    gateway = await gateways.start(redis_server.url, cache_url="")
    await gateway.until_ready()
    assert await siftline(gateway, "stats") == 1
    assert "has no cache" in capsys.readouterr().err
