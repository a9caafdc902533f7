"""The cache behind a cluster, and behind a user with a password."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from local.redis import embedded_command
from siftline.embed.v1 import embed_pb2
from tests.running.model_service import free_port

NODES, SLOTS = 3, 16384
READY_SECONDS = 20.0
TEXTS = [f"text {n}" for n in range(60)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[int]]:
    """Three masters that share the slots; their ports."""
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
    async with asyncio.timeout(10):
        while (reply := await embed(gateway)).cached < len(TEXTS):
            await asyncio.sleep(0.05)
    return reply


async def test_a_cluster(gateways: Any, redis_server: Any, cluster: list[int]) -> None:
    url = f"cluster+redis://127.0.0.1:{cluster[0]}"
    gateway = await gateways.start(redis_server.url, cache_url=url, cache_budget_s=2.0, cache_claim_s=30.0)
    await gateway.until_ready()
    first = await embed(gateway)
    assert first.cached == 0
    assert (await cached(gateway)).vectors == first.vectors
    async with asyncio.timeout(5):
        while sum(held := [_entries(port) for port in cluster]) != len(TEXTS):  # until the claims are gone
            await asyncio.sleep(0.05)
    assert all(held), "every node has its share"


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
