"""The embedding cache against a real Redis, well and ill."""

import asyncio
import signal
from typing import Any

import grpc
import numpy as np
import pytest

from gateway.metrics import CACHE_FAILURES, CACHE_TEXTS
from serving.errors import InvalidArgument, Overloaded
from siftline.embed.v1 import embed_pb2
from tests.fakes.services import vector_of
from tests.running.waiting import until


def outcomes() -> dict[str, float]:
    names = ("hit", "miss", "coalesced", "duplicate")
    return {name: CACHE_TEXTS.labels(name)._value.get() for name in names}


def failures(operation: str, kind: str) -> float:
    return float(CACHE_FAILURES.labels(operation, kind)._value.get())


async def embed(gateway: Any, *texts: str, timeout: float = 30, **more: Any) -> embed_pb2.EmbedResponse:
    reply: embed_pb2.EmbedResponse = await gateway.embeds.Embed(
        embed_pb2.EmbedRequest(texts=texts, **more), timeout=timeout
    )
    return reply


async def is_cached(gateway: Any, text: str) -> bool:
    return (await embed(gateway, text)).cached == 1


def entries(server: Any) -> list[bytes]:
    with server.client as client:
        return list(client.keys("siftline:e1:*"))


@pytest.mark.parametrize("dtype", [1, 2, 3, 4])
async def test_a_hit_equals_a_miss_bit_for_bit(gateway: Any, redis_server: Any, dtype: Any) -> None:
    texts = ["one", "two words", "w " * 600]
    miss = await embed(gateway, *texts, dtype=dtype)
    await until(lambda: len(entries(redis_server)) == 3)
    hit = await embed(gateway, *texts, dtype=dtype)
    assert (miss.cached, hit.cached) == (0, 3)
    assert len(gateway.embed.calls) == 1
    for reply in (miss, hit):
        reply.ClearField("timings")
        reply.ClearField("cached")
    assert hit == miss
    assert list(hit.truncated) == [False, False, True]
    assert list(hit.token_counts) == [3, 4, 512]


async def test_a_request_is_one_look_and_its_reply_does_not_wait_for_the_writes(
    gateway: Any, redis_server: Any
) -> None:
    texts = [f"text {number % 30}" for number in range(40)]
    with redis_server.client as client:
        client.config_resetstat()
        client.execute_command("CLIENT", "PAUSE", 600_000, "WRITE")
        reply = await embed(gateway, *texts)
        assert not entries(redis_server)
        client.execute_command("CLIENT", "UNPAUSE")
        await until(lambda: len(entries(redis_server)) == 30)
        counted = client.info("commandstats")
        lives = [client.ttl(key) for key in entries(redis_server)]
    assert reply.count == 40
    assert (counted["cmdstat_mget"]["calls"], counted["cmdstat_set"]["calls"]) == (1, 30)
    assert 0 < min(lives) <= max(lives) <= 7 * 86_400


async def test_other_outputs_pass_by_the_cache(gateway: Any, redis_server: Any) -> None:
    """The cache holds dense vectors: it neither answers a request for more nor learns from one."""
    dense = await embed(gateway, "one", "three")
    await until(lambda: len(entries(redis_server)) == 2)
    both = await embed(gateway, "one", "seven", outputs=[embed_pb2.OUTPUT_DENSE, embed_pb2.OUTPUT_SPARSE])
    assert (both.cached, gateway.embed.calls[-1]) == (0, ["one", "seven"])
    assert np.frombuffer(both.sparse.ids, "<u4").tolist() == [3, 5]
    again = await embed(gateway, "one", "three", outputs=[embed_pb2.OUTPUT_DENSE])
    assert (again.cached, again.vectors) == (2, dense.vectors)
    assert not again.HasField("sparse")
    assert len(entries(redis_server)) == 2
    with pytest.raises(grpc.aio.AioRpcError, match="outputs: 9 is not one of its values"):
        await embed(gateway, "one", outputs=[9])


async def test_only_what_is_missing_is_computed_and_order_is_kept(gateway: Any) -> None:
    await embed(gateway, "b", "d")
    before = outcomes()
    reply = await embed(gateway, "a", "b", "a", "c", "d", "b")
    assert gateway.embed.calls[-1] == ["a", "c"]
    vectors = np.frombuffer(reply.vectors, "<f4").reshape(6, -1)
    for row, text in zip(vectors, "abacdb", strict=True):
        assert np.array_equal(row, vector_of(text).astype("<f4"))
    grown = {name: value - before[name] for name, value in outcomes().items()}
    assert grown == {"hit": 2, "miss": 2, "coalesced": 0, "duplicate": 2}
    assert reply.cached == 2


async def test_a_prompt_per_text(gateway: Any) -> None:
    await embed(gateway, "a", prompt_texts=["p"])
    reply = await embed(gateway, "a", "a", "b", "a", prompt_texts=["q", "p", "p", "q"])
    assert gateway.embed.calls[-1] == ["a", "b"]
    assert reply.cached == 1
    rows = [reply.vectors[at : at + 128] for at in range(0, 512, 128)]
    assert rows[0] == rows[3] != rows[1]
    alone = await embed(gateway, "b", prompt_text="p")
    assert alone.vectors == rows[2]


async def test_many_at_once_compute_once(gateway: Any) -> None:
    gateway.embed.faults.delay = 0.2
    replies = await asyncio.gather(*(embed(gateway, "same", "other") for _ in range(50)))
    assert len(gateway.embed.calls) == 1
    assert len({reply.vectors for reply in replies}) == 1


async def test_a_caller_that_leaves_does_not_take_the_others_along(gateway: Any) -> None:
    gateway.embed.faults.held = asyncio.Event()
    hasty = asyncio.create_task(embed(gateway, "same", timeout=1))
    await until(lambda: gateway.embed.calls)
    patient = asyncio.create_task(embed(gateway, "same"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await hasty
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    gateway.embed.faults.held.set()
    assert (await patient).count == 1


async def test_failures_are_not_stored(gateway: Any, redis_server: Any) -> None:
    gateway.embed.faults.error = Overloaded("queue is full", retry_after=1.5)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await embed(gateway, "x")
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    gateway.embed.faults.error = None
    assert (await embed(gateway, "x")).count == 1


async def test_errors_name_the_place_in_the_callers_list(gateway: Any) -> None:
    await embed(gateway, "a", "b")
    gateway.embed.faults.error = InvalidArgument("texts[1]", "600 tokens; the limit is 512")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await embed(gateway, "a", "x", "b", "y")
    assert caught.value.details() == "texts[3]: 600 tokens; the limit is 512"


async def test_two_models_of_one_name_share_nothing(gateways: Any, redis_server: Any) -> None:
    one = await gateways.start(redis_server.url)
    two = await gateways.start(redis_server.url)
    two.embed.fingerprint, two.embed.seed = "2" * 32, "other weights"
    await one.until_ready()
    await two.until_ready()
    first, second = await embed(one, "text"), await embed(two, "text")
    assert one.embed.name == two.embed.name
    assert first.vectors != second.vectors
    await until(lambda: len(entries(redis_server)) == 2)
    assert (await embed(one, "text")).vectors == first.vectors
    assert (await embed(two, "text")).vectors == second.vectors
    assert (len(one.embed.calls), len(two.embed.calls)) == (1, 1)


async def test_two_gateways_of_one_model_share_everything(gateways: Any, redis_server: Any) -> None:
    one, two = await gateways.start(redis_server.url), await gateways.start(redis_server.url)
    first = await embed(one, "text")
    await until(lambda: entries(redis_server))
    second = await embed(two, "text")
    assert second.vectors == first.vectors
    assert not two.embed.calls


async def test_a_model_that_changes_under_way(gateways: Any, redis_server: Any) -> None:
    """The first answer of the new model makes the gateway ask again: no reply mixes two models."""
    gateway = await gateways.start(redis_server.url, model_refresh_s=600)
    await gateway.until_ready()
    old = await embed(gateway, "a")
    gateway.embed.fingerprint, gateway.embed.seed = "3" * 32, "new"
    new = await embed(gateway, "a", "b")
    assert (old.fingerprint, new.fingerprint) == ("f" * 32, "3" * 32)
    assert new.cached == 0
    alone = await embed(gateway, "a")
    assert new.vectors.startswith(alone.vectors)


async def test_without_a_cache(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, cache_url="")
    reply = await embed(gateway, "a", "b")
    assert reply.vectors == (await embed(gateway, "a", "b")).vectors
    assert len(gateway.embed.calls) == 2
    assert not entries(redis_server)


async def test_garbage_in_the_cache_is_recomputed(gateway: Any, redis_server: Any) -> None:
    good = await embed(gateway, "a", "b", "c", "d")
    await until(lambda: len(entries(redis_server)) == 4)
    before = failures("get", "corrupt")
    with redis_server.client as client:
        one, two, three, four = entries(redis_server)
        client.set(one, b"garbage")
        client.set(two, client.get(three))
        client.set(four, bytes(client.get(four))[:-1] + b"\x00\x01")
    again = await embed(gateway, "a", "b", "c", "d")
    assert again.vectors == good.vectors
    assert again.cached == 1
    assert failures("get", "corrupt") == before + 3


async def test_a_value_of_another_type_is_recomputed(gateway: Any, redis_server: Any) -> None:
    good = await embed(gateway, "a")
    await until(lambda: entries(redis_server))
    with redis_server.client as client:
        (key,) = entries(redis_server)
        client.delete(key)
        client.hset(key, "field", "value")
    assert (await embed(gateway, "a")).vectors == good.vectors


async def test_redis_gone_and_back(gateways: Any, redis_server: Any, own_redis: Any) -> None:
    gateway = await gateways.start(redis_server.url, cache_url=own_redis.url)
    good = await embed(gateway, "a")
    own_redis.kill()
    failed, skipped = failures("get", "connection"), failures("get", "skipped")
    for number in range(20):
        assert (await embed(gateway, "a", f"t{number}")).vectors.startswith(good.vectors)
    assert failures("get", "connection") > failed
    assert failures("get", "skipped") > skipped
    own_redis.start()
    await until(lambda: is_cached(gateway, "back"))


async def test_redis_that_hangs_costs_little(gateways: Any, redis_server: Any, own_redis: Any) -> None:
    gateway = await gateways.start(redis_server.url, cache_url=own_redis.url, cache_budget_s=0.05)
    await embed(gateway, "a")
    own_redis.signal(signal.SIGSTOP)
    before = failures("get", "skipped")
    for number in range(20):  # new ones: what waits to be written needs no Redis
        await embed(gateway, f"t{number}", timeout=5)
    assert failures("get", "skipped") - before >= 10  # the circuit is open: most do not wait at all
    own_redis.signal(signal.SIGCONT)


@pytest.mark.parametrize("command", [["maxmemory", "1mb"], ["min-replicas-to-write", "3"]])
async def test_redis_that_takes_no_writes_still_answers_reads(
    gateways: Any, redis_server: Any, own_redis: Any, command: list[str]
) -> None:
    gateway = await gateways.start(redis_server.url, cache_url=own_redis.url)
    await embed(gateway, "old")
    await until(lambda: entries(own_redis))
    with own_redis.client as client:
        client.config_set(*command)
    before = failures("set", "response")
    for number in range(10):
        assert (await embed(gateway, f"new {number}")).count == 1
        assert (await embed(gateway, "old")).cached == 1
    await until(lambda: failures("set", "response") > before)


async def test_flushall(gateway: Any, redis_server: Any) -> None:
    good = await embed(gateway, "a")
    await until(lambda: entries(redis_server))
    with redis_server.client as client:
        client.flushall()
    assert (await embed(gateway, "a")).vectors == good.vectors
