"""node.sh as the pods run it: six real servers that find each other by name, and again when all of them have moved."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from gateway.cache_connection import CacheConnection
from gateway.redis_url import CLUSTER
from local.redis import embedded_command
from tests.deploy import rehearsal
from tests.deploy.manifests import Container, build, containers, environment
from tests.deploy.programs import program

SECONDS = 60.0
COMBINATION = "tests/redis-cluster"
# Addresses of loopback that no other run has: 127.BLOCK.x.y.
BLOCK = os.getpid() % 200 + 20


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Names by which the pods know them. What is for the own server goes to its address: here all share the machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    server = embedded_command(0, tmp_path / "unused")[0]
    client = program("redis-cli", "the Debian package redis-tools")
    for name, command in (("redis-server", server), ("redis-cli", f'{client} -h "$POD_IP"')):
        (folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@contextmanager
def nodes(folder: Path, programs: Path, addresses: list[str]) -> Iterator[None]:
    """Pods with these addresses; each is process 1, keeps its /data in `folder`, and finds the others by name."""
    objects = build(COMBINATION)
    container = next(each for each in containers(objects) if each.owner == "siftline-redis-cluster")
    variables = environment(container, objects)
    assert int(variables["NODES"]) == len(addresses)
    script = folder / "node.sh"
    script.write_text(_script())
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{each} {_pod(n)}.{variables['SERVICE']}\n" for n, each in enumerate(addresses)))
    started = []
    try:
        for number, address in enumerate(addresses):
            flags = [*_flags(container, folder / str(number)), "--bind", address]
            own = {"POD_IP": address, "POD_NAME": _pod(number), "PATH": f"{programs}:{os.environ['PATH']}"}
            enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]
            enter += [f'mount --bind {hosts} /etc/hosts && exec sh {script} "$@"', "node"]
            with (folder / f"log-{number}").open("ab") as log:
                started.append(subprocess.Popen([*enter, *flags], env=variables | own, stdout=log, stderr=log))
        yield
    finally:
        for each in started:
            each.kill()
        for each in started:
            each.wait()


def _pod(number: int) -> str:
    return f"siftline-redis-cluster-{number}"


def _script() -> str:
    configured = [each["data"] for each in build(COMBINATION) if each["kind"] == "ConfigMap"]
    return str(next(data["node.sh"] for data in configured if "node.sh" in data))


def _flags(container: Container, data: Path) -> list[str]:
    data.mkdir(exist_ok=True)
    sooner = {"5000": "1000"}  # milliseconds after which a node counts as gone: half of the test waits for it
    own = {"/data": str(data)} | sooner
    return [own.get(flag, flag) for flag in container.spec["args"]]


def _is_whole(address: str, addresses: list[str]) -> bool:
    """Whether this node works and knows all where they are."""
    with redis.Redis(host=address, protocol=2) as client:
        said = client.execute_command("CLUSTER", "INFO").decode()
        roles = client.execute_command("CLUSTER", "NODES").decode()
    known = all(f" {each}:6379@" in roles for each in addresses)
    return known and "cluster_state:ok" in said and roles.count("master") == 3 and roles.count("slave") == 3


def _identity(address: str) -> bytes:
    with redis.Redis(host=address, protocol=2) as client:
        return bytes(client.execute_command("CLUSTER", "MYID"))


def _until_whole(addresses: list[str], logs: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            if all(_is_whole(each, addresses) for each in addresses):
                return
        except redis.RedisError:
            pass  # it does not listen yet
        assert time.monotonic() < deadline, (logs / "log-0").read_text()[-3000:]
        time.sleep(0.1)


def _until_it_serves(address: str, logs: Path) -> None:
    """A node that was silent for a second counts as gone, and then the cluster answers nobody for a moment."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return asyncio.run(_serves(address))
        except redis.RedisError:
            assert time.monotonic() < deadline, (logs / "log-0").read_text()[-3000:]
            time.sleep(0.1)


async def _serves(address: str) -> None:
    """The gateway's own connection keeps values on it, of every share of the keys."""
    cache = CacheConnection(f"{CLUSTER}redis://{address}:6379")
    keys = [f"key {number}".encode() for number in range(60)]
    try:
        pipeline = cache.pipeline()
        for key in keys:
            pipeline.set(key, key, ex=60)
        await pipeline.execute()
        assert await cache.mget(keys) == keys
    finally:
        await cache.aclose()


def test_nodes_find_each_other_and_again_when_all_have_moved(tmp_path: Path, programs: Path) -> None:
    if not rehearsal.possible():
        pytest.skip("this user may not make mount namespaces")
    identities = []
    for place in (1, 2):
        addresses = [f"127.{BLOCK}.{place}.{number + 1}" for number in range(6)]
        with nodes(tmp_path, programs, addresses):
            _until_whole(addresses, tmp_path)
            _until_it_serves(addresses[3], tmp_path)
            identities.append([_identity(each) for each in addresses])
    assert identities[0] == identities[1]
