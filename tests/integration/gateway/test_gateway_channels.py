"""The gateway's calls to its services: time handed on, tried again, a slow replica got round, messages too large."""

import asyncio
from typing import Any

import grpc
import pytest

import siftline
from gateway import clients, metrics
from gateway.deadline import Deadline
from serving.errors import InvalidArgument, Overloaded, SiftlineError, Unavailable
from siftline import channel
from siftline.embed.v1 import embed_pb2
from tests.fakes.services import FakeEmbed, FakeServer, Faults
from tests.running.proxy import Proxy
from tests.running.waiting import until

SECONDS = 30.0


async def answers(gateway: Any, count: int, timeout: float) -> list[grpc.StatusCode]:
    """To so many different texts, one after the other."""
    codes = []
    for number in range(count):
        codes.append(await gateway.embeds.Embed(embed_pb2.EmbedRequest(texts=[f"t{number}"]), timeout=timeout).code())
    return codes


async def test_a_service_gets_what_is_left_of_the_callers_time(gateway: Any) -> None:
    for seconds in (5.0, 500.0):
        await gateway.embeds.Embed(embed_pb2.EmbedRequest(texts=[f"for {seconds}"]), timeout=seconds)
        assert seconds - 4 < gateway.embed.seconds_left <= seconds + 2  # the wire rounds long times up
    await gateway.embeds.Embed(embed_pb2.EmbedRequest(texts=["as long as it takes"]))
    assert 20 < gateway.embed.seconds_left <= 32  # the gateway's own default


class Away(Faults):
    """For the first so many calls."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._left = calls

    async def strike(self) -> None:
        self._left -= 1
        if self._left >= 0:
            raise Unavailable("away")


async def test_calls_of_a_service_that_is_away_are_made_again_within_a_budget(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, cache_url="", model_refresh_s=60.0)
    await gateway.until_ready()
    gateway.embed.faults = Away(2)
    assert await answers(gateway, 1, timeout=SECONDS) == [grpc.StatusCode.OK]
    assert len(gateway.embed.calls) == 3
    gateway.embed.calls.clear()
    gateway.embed.faults = Away(1000)
    assert set(await answers(gateway, 40, timeout=SECONDS)) == {grpc.StatusCode.UNAVAILABLE}
    assert 42 <= len(gateway.embed.calls) <= 52  # of the budget of 20 half, and then no more


@pytest.mark.parametrize("error", [Overloaded("full", retry_after=0.1), InvalidArgument("texts[0]", "too long")])
async def test_what_is_refused_is_not_asked_again(gateway: Any, error: SiftlineError) -> None:
    gateway.embed.faults.error = error
    assert await answers(gateway, 1, timeout=SECONDS) != [grpc.StatusCode.OK]
    assert len(gateway.embed.calls) == 1


async def test_a_slow_replica_is_got_round_within_a_budget(gateways: Any, redis_server: Any) -> None:
    replicas = [FakeServer(FakeEmbed()) for _ in range(2)]
    for replica in replicas:
        await replica.start()
    target = "ipv4:" + ",".join(replica.target for replica in replicas)
    facts: dict[str, Any] = {"embed": target, "cache_url": "", "model_refresh_s": 60.0}  # none of its calls in between
    hedging = await gateways.start(redis_server.url, hedge_after_s=0.05, **facts)
    plain = await gateways.start(redis_server.url, **facts)
    for gateway in (hedging, plain):
        await gateway.until_ready()
        for replica in replicas:
            replica.servicer.calls.clear()
        while not all(replica.servicer.calls for replica in replicas):  # both are called in turn, once connected
            assert set(await answers(gateway, 2, timeout=SECONDS)) == {grpc.StatusCode.OK}
    replicas[0].servicer.faults.delay = 60.0
    before = metrics.HEDGED.labels("embed", "second")._value.get()
    assert set(await answers(hedging, 8, timeout=SECONDS)) == {grpc.StatusCode.OK}
    assert metrics.HEDGED.labels("embed", "second")._value.get() > before
    assert grpc.StatusCode.DEADLINE_EXCEEDED in await answers(plain, 2, timeout=1)
    replicas[1].servicer.faults.delay = 60.0
    called = sum(len(replica.servicer.calls) for replica in replicas)
    requests = [embed_pb2.EmbedRequest(texts=[f"s{number}"]) for number in range(40)]
    codes = await asyncio.gather(*(hedging.embeds.Embed(request, timeout=1).code() for request in requests))
    assert set(codes) == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert sum(len(replica.servicer.calls) for replica in replicas) - called <= 40 + 12  # the budget, not twice as many
    for replica in replicas:
        await replica.stop()


async def test_a_service_that_went_silent_is_left_for_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "KEEPALIVE_MS", 500)
    monkeypatch.setattr(channel, "KEEPALIVE_TIMEOUT_MS", 1500)
    server = FakeServer(FakeEmbed())
    await server.start()
    proxy = Proxy(server.port)
    await proxy.start()
    client = clients.EmbedClient(clients.Service(proxy.address))
    await client.refresh(Deadline(10))
    proxy.stall()
    late = asyncio.create_task(client.refresh(Deadline(60)))
    await until(lambda: proxy.accepted >= 2)
    proxy.mend()
    assert (await late).name == "fake"
    await client.aclose()
    await proxy.stop()
    await server.stop()


async def test_a_message_that_is_too_large_is_told_with_the_limit(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url)
    await gateway.until_ready()
    async with siftline.AsyncClient(gateway.target) as client:
        with pytest.raises(siftline.SiftlineError, match=r"^message: \d+ bytes; the limit is 67108864$"):
            await client.embed(["x" * (1 << 20)] * 65)
