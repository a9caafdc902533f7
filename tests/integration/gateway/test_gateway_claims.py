"""Gateways that share a cache, a real Redis: what several of them lack at once is computed once."""

import asyncio
import itertools
import random
import signal
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.embedding_key import claim_on
from gateway.metrics import CACHE_CLAIMS, CACHE_FAILURES
from serving.errors import InvalidArgument, Overloaded
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from tests.running import gateway as gateway_process
from tests.running.waiting import until

LONG = {"cache_claim_s": 30.0}  # longer than any test waits: who answers sooner did not wait for its end


def claimed(outcome: str) -> float:
    return float(CACHE_CLAIMS.labels(outcome)._value.get())


async def embed(gateway: Any, *texts: str, timeout: float = 60, **more: Any) -> embed_pb2.EmbedResponse:
    request = embed_pb2.EmbedRequest(texts=texts, **more)
    reply: embed_pb2.EmbedResponse = await gateway.embeds.Embed(request, timeout=timeout)
    return reply


def keys(server: Any, pattern: str) -> list[bytes]:
    with server.client as client:
        return list(client.keys(pattern))


def claims(server: Any) -> list[bytes]:
    return keys(server, "siftline:c1:*")


def looks(server: Any) -> int:
    """How often texts were looked up."""
    with server.client as client:
        return int(client.info("commandstats")["cmdstat_mget"]["calls"])


async def started(gateways: Any, redis_server: Any, count: int, **settings: Any) -> list[Any]:
    running = [await gateways.start(redis_server.url, **settings) for _ in range(count)]
    for gateway in running:
        await gateway.until_ready()
    return running


async def claim_on_a_text(gateway: Any, server: Any) -> bytes:
    """The key of the claim on "text", which the cache no longer has."""
    await embed(gateway, "text")
    await until(lambda: keys(server, "siftline:e1:*") and not claims(server))
    gateway.embed.calls.clear()
    (key,) = keys(server, "siftline:e1:*")
    with server.client as client:
        client.delete(key)
    return claim_on(key)


async def test_each_text_is_computed_by_one_gateway(gateways: Any, redis_server: Any) -> None:
    """Ten at a time of forty texts, in four gateways at once, whichever they are."""
    running = await started(gateways, redis_server, 4, **LONG)
    dice, texts, shared = random.Random(5), [f"text {n}" for n in range(40)], claimed("shared")
    for gateway in running:
        gateway.embed.faults.delay = 0.1
    asked = [dice.sample(texts, 10) for _ in range(24)]
    replies = await asyncio.gather(
        *(embed(gateway, *some) for gateway, some in zip(itertools.cycle(running), asked, strict=False))
    )
    computed = [text for gateway in running for call in gateway.embed.calls for text in call]
    assert sorted(computed) == sorted({text for some in asked for text in some})
    assert claimed("shared") > shared
    rows: dict[str, set[bytes]] = {}
    for some, reply in zip(asked, replies, strict=True):
        for place, text in enumerate(some):
            rows.setdefault(text, set()).add(reply.vectors[place * 128 : place * 128 + 128])
    assert all(len(vectors) == 1 for vectors in rows.values())
    await until(lambda: not claims(redis_server))


@pytest.mark.parametrize("kind", ["error", "left"])
async def test_who_fails_or_leaves_lets_another_one_compute(gateways: Any, redis_server: Any, kind: str) -> None:
    one, two = await started(gateways, redis_server, 2, **LONG)
    one.embed.faults.held, late = asyncio.Event(), claimed("late")
    if kind == "error":
        one.embed.faults.error = Overloaded("queue is full", retry_after=0.1)
    hasty = asyncio.create_task(embed(one, "text", timeout=60 if kind == "error" else 1.5))
    await until(lambda: claims(redis_server) and one.embed.calls)
    before = looks(redis_server)
    other = asyncio.create_task(embed(two, "text"))
    await until(lambda: looks(redis_server) >= before + 3)  # it has found neither the text nor a claim to be had
    if kind == "error":
        one.embed.faults.held.set()
    assert (await other).count == 1
    with pytest.raises(grpc.aio.AioRpcError):
        await hasty
    assert (len(one.embed.calls), two.embed.calls) == (1, [["text"]])
    assert claimed("late") == late, "it waited until it was told, not until it lost patience"
    await until(lambda: len(keys(redis_server, "siftline:[ce]1:*")) == 1)


async def test_nothing_of_a_failure_is_stored(gateways: Any, redis_server: Any) -> None:
    running = await started(gateways, redis_server, 3, **LONG)
    for gateway in running:
        gateway.embed.faults.delay, gateway.embed.faults.error = 0.05, InvalidArgument("texts[0]", "too long")
    replies = await asyncio.gather(*(embed(gateway, "text") for gateway in running), return_exceptions=True)
    assert [reply.details() for reply in replies if isinstance(reply, grpc.aio.AioRpcError)] == [
        "texts[0]: too long"
    ] * 3
    await until(lambda: not keys(redis_server, "siftline:[ce]1:*"))


async def test_a_gateway_that_is_killed(gateways: Any, redis_server: Any, tmp_path: Path) -> None:
    (other,) = await started(gateways, redis_server, 1, cache_claim_s=2.0)
    other.embed.faults.delay = 120.0
    flags = (f"--embed={other.embed_server.target}", "--rerank=", "--cache-claim-s=2", "--cache-budget-s=10")
    urls = (f"--cache-url={redis_server.url}", f"--index-url={redis_server.url}")
    holder = gateway_process.start(tmp_path, *flags, *urls)
    try:
        await asyncio.to_thread(holder.wait_until, True, gateway_process.READY_SECONDS)
        async with grpc.aio.insecure_channel(holder.address) as channel:
            stub = embed_pb2_grpc.EmbedServiceStub(channel)
            asked = stub.Embed(embed_pb2.EmbedRequest(texts=["text"]))
            await until(lambda: claims(redis_server) and other.embed.calls)
            holder.process.send_signal(signal.SIGKILL)
            other.embed.faults.delay = 0.0
            assert (await embed(other, "text")).count == 1
            assert other.embed.calls == [["text"], ["text"]]
            asked.cancel()
    finally:
        holder.process.kill()
        holder.process.wait()


@pytest.mark.parametrize("garbage", ["string", "list", "for ever"])
async def test_garbage_for_a_claim_is_waited_for_once(gateways: Any, redis_server: Any, garbage: str) -> None:
    (gateway,) = await started(gateways, redis_server, 1, cache_claim_s=0.2)
    claim, late = await claim_on_a_text(gateway, redis_server), claimed("late")
    with redis_server.client as client:
        match garbage:
            case "string":
                client.set(claim, b"\xff" * 100_000)
            case "list":
                client.rpush(claim, b"x")
            case "for ever":
                client.set(claim, b"")
    assert (await embed(gateway, "text")).cached == 0
    assert claimed("late") == late + 1
    await until(lambda: not claims(redis_server))
    assert (await embed(gateway, "text")).cached == 1


async def test_half_of_the_callers_time_is_kept_for_computing(gateways: Any, redis_server: Any) -> None:
    (gateway,) = await started(gateways, redis_server, 1, **LONG)
    claim = await claim_on_a_text(gateway, redis_server)
    with redis_server.client as client:
        client.set(claim, b"")
    assert (await embed(gateway, "text", timeout=4)).count == 1


async def test_redis_that_goes_while_others_wait(gateways: Any, redis_server: Any, own_redis: Any) -> None:
    running = await started(gateways, redis_server, 3, cache_url=own_redis.url, **LONG)
    for gateway in running:
        gateway.embed.faults.delay = 1.0
    asked = [asyncio.create_task(embed(gateway, "text")) for gateway in running]
    await until(lambda: claims(own_redis))
    own_redis.kill()
    assert len({reply.vectors for reply in await asyncio.gather(*asked)}) == 1
    assert [len(gateway.embed.calls) for gateway in running] == [1, 1, 1]


async def test_redis_that_takes_no_claims(gateways: Any, redis_server: Any, own_redis: Any) -> None:
    (gateway,) = await started(gateways, redis_server, 1, cache_url=own_redis.url, **LONG)
    refused = CACHE_FAILURES.labels("claim", "response")
    before = refused._value.get()
    with own_redis.client as client:
        client.config_set("min-replicas-to-write", 3)
    assert (await embed(gateway, "text")).count == 1
    assert refused._value.get() > before


async def test_a_load_of_documents_neither_claims_nor_waits(gateways: Any, redis_server: Any) -> None:
    one, two = await started(gateways, redis_server, 2, **LONG)
    one.embed.faults.delay = 1.0
    bulk = asyncio.create_task(embed(one, "text", priority=embed_pb2.PRIORITY_BULK))
    await until(lambda: one.embed.calls)
    assert not claims(redis_server)
    assert (await embed(two, "text")).cached == 0
    assert (await bulk).count == 1
