"""The cache and the quotas in a cluster, over TLS too; the cache behind a user with a password."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme

from gateway import metrics
from local.redis import embedded_command
from siftline.embed.v1 import embed_pb2
from tests.integration.gateway.test_gateway_quotas import keys_file, refusal
from tests.running import certificates
from tests.running.model_service import free_port
from tests.running.tls_proxy import tls_in_front_of

NODES, SLOTS = 3, 16384
READY_SECONDS = 60.0
TEXTS = [f"text {n}" for n in range(60)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Three masters that share the slots; their ports."""
    tmp_path = tmp_path_factory.mktemp("cluster")
    ports = [free_port() for _ in range(NODES)]
    processes = []
    try:
        for port in ports:
            folder = tmp_path / str(port)
            command = [word for word in embedded_command(port, folder) if "redisearch" not in word]
            command.remove("--loadmodule")
            bus = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            processes.append(subprocess.Popen((*command, *bus), stdout=subprocess.DEVNULL))
        _join(ports)
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _join(ports: list[int]) -> None:
    clients = [redis.Redis(port=port, protocol=2) for port in ports]
    _until(lambda: all(client.ping() for client in clients))
    for place, client in enumerate(clients):
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", SLOTS * place // NODES, SLOTS * (place + 1) // NODES - 1)
    for port, client in zip(ports[1:], clients[1:], strict=True):
        bus = int(client.config_get("cluster-port")["cluster-port"])
        clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
    _until(lambda: all("cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO")) for client in clients))
    for client in clients:
        client.close()


def _until(condition: Any) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def embed(gateway: Any) -> embed_pb2.EmbedResponse:
    reply: embed_pb2.EmbedResponse = await gateway.embeds.Embed(embed_pb2.EmbedRequest(texts=TEXTS))
    return reply


async def cached(gateway: Any) -> embed_pb2.EmbedResponse:
    """The same texts again, until the cache has all of them."""
    async with asyncio.timeout(READY_SECONDS):
        while (reply := await embed(gateway)).cached < len(TEXTS):
            await asyncio.sleep(0.05)
    return reply


async def test_a_cluster(gateways: Any, redis_server: Any, cluster: list[int]) -> None:
    url = f"cluster+redis://127.0.0.1:{cluster[0]}"
    gateway = await gateways.start(redis_server.url, cache_url=url, cache_claim_s=30.0)
    await gateway.until_ready()
    first = await embed(gateway)
    assert first.cached == 0
    assert (await cached(gateway)).vectors == first.vectors
    async with asyncio.timeout(READY_SECONDS):
        while sum(held := [_entries(port) for port in cluster]) != len(TEXTS):  # until the claims are gone
            await asyncio.sleep(0.05)
    assert all(held), "every node has its share"


async def test_quotas_in_a_cluster(gateways: Any, redis_server: Any, cluster: list[int], tmp_path: Path) -> None:
    """Both of a key's buckets are on one node, where a script may change them together."""
    quotas = "requests_per_second = 0.05\ntokens_per_minute = 1000"
    keys = keys_file(tmp_path, **{f"key{number}": quotas for number in range(8)})
    settings = {"keys_file": keys, "cache_url": f"cluster+redis://127.0.0.1:{cluster[0]}"}
    both = [await gateways.start(redis_server.url, **settings) for _ in range(2)]
    request = embed_pb2.EmbedRequest(texts=["a"])
    for number in range(8):
        assert await refusal(both[0], f"key{number}", request) is None
        assert await refusal(both[1], f"key{number}", request) is not None
    assert sum(1 for port in cluster if _holds_quotas(port)) > 1


def _holds_quotas(port: int) -> bool:
    with redis.Redis(port=port, protocol=2) as node:
        return bool(list(node.scan_iter("siftline:quota:*")))


async def test_a_cluster_over_tls_as_a_user(
    gateways: Any, redis_server: Any, cluster: list[int], tmp_path: Path
) -> None:
    """Nodes tell callers of each other by the ports that speak TLS."""
    files = certificates.files(tmp_path, trustme.CA())
    async with AsyncExitStack() as lines:
        secure = [await lines.enter_async_context(tls_in_front_of(port, files)) for port in cluster]
        lines.callback(_announce, cluster, [0] * NODES)
        _announce(cluster, secure)
        known = f"ssl_ca_certs={files.ca}&ssl_certfile={files.cert}&ssl_keyfile={files.key}"
        url = f"cluster+rediss://shop:pass%20word@127.0.0.1:{secure[0]}?{known}"
        keys = keys_file(tmp_path, few="requests_per_second = 0.05", free="")
        gateway = await gateways.start(redis_server.url, cache_url=url, keys_file=keys)
        request, before = embed_pb2.EmbedRequest(texts=TEXTS[:9]), metrics.QUOTA_ALONE._value.get()
        assert await refusal(gateway, "few", request) is None
        assert await refusal(gateway, "few", request) is not None
        assert metrics.QUOTA_ALONE._value.get() == before
        async with asyncio.timeout(60):
            while (await gateway.embeds.Embed(request, metadata=(("x-api-key", "free"),))).cached < 9:
                await asyncio.sleep(0.05)


def _announce(ports: list[int], announced: list[int]) -> None:
    """Until every node has heard it. 0 is the port that a node has."""
    clients = [redis.Redis(port=port, protocol=2) for port in ports]
    for client, to_tell in zip(clients, announced, strict=True):
        client.config_set("cluster-announce-port", to_tell)
        client.execute_command("ACL", "SETUSER", "shop", "on", ">pass word", "~*", "&*", "+@all")
    told = [to_tell or port for port, to_tell in zip(ports, announced, strict=True)]
    _until(lambda: all(_known(client) == sorted(told) for client in clients))
    for client in clients:
        client.close()


def _known(client: redis.Redis) -> list[int]:
    return sorted(masters[2][1] for masters in client.execute_command("CLUSTER", "SLOTS"))


async def test_a_cluster_that_is_away(gateways: Any, redis_server: Any, tmp_path: Path) -> None:
    keys = keys_file(tmp_path, few="requests_per_second = 0.05")
    url = f"cluster+redis://127.0.0.1:{free_port()}"
    gateway = await gateways.start(redis_server.url, cache_url=url, keys_file=keys)
    request = embed_pb2.EmbedRequest(texts=["a"])
    assert await refusal(gateway, "few", request) is None
    assert await refusal(gateway, "few", request) is not None


def _entries(port: int) -> int:
    with redis.Redis(port=port, protocol=2) as node:
        return int(node.dbsize())


async def test_a_user_of_the_cache_only(gateways: Any, redis_server: Any) -> None:
    with redis_server.client as client:
        client.execute_command(
            "ACL", "SETUSER", "cache", "on", ">secret", "~siftline:e1:*", "+get", "+mget", "+set", "+ping", "+client"
        )
        url = f"redis://cache:secret@127.0.0.1:{redis_server.port}/0"
        gateway = await gateways.start(redis_server.url, cache_url=url)
        await gateway.until_ready()
        first = await embed(gateway)
        assert (await cached(gateway)).vectors == first.vectors
        client.execute_command("ACL", "SETUSER", "cache", ">other", "<secret")
        client.client_kill_filter(_type="normal", skipme=True)
        assert (await embed(gateway)).vectors == first.vectors
        client.execute_command("ACL", "DELUSER", "cache")
