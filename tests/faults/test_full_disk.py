"""The disk under the index fills up, on a real file system too small for it, and is made larger again."""

import asyncio
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as client_library

from local import redis
from serving.supervisor import Program, Supervisor
from tests.running.model_service import free_port
from tests.running.waiting import until

SMALL, LARGE = "size=8m", "size=64m"
VALUE = "x" * 10_000


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[Path]:
    mount = subprocess.run(("mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", tmp_path), capture_output=True, text=True)
    if mount.returncode != 0:
        pytest.skip(f"only root may mount a file system of a given size: {mount.stderr.strip()}")
    yield tmp_path
    subprocess.run(("umount", tmp_path), check=True)


def write_until_it_fails(connection: client_library.Redis) -> int:
    """How many writes were acknowledged."""
    for number in range(2000):
        try:
            connection.set(f"key:{number}", VALUE)
        except client_library.RedisError:
            return number
    raise AssertionError("the disk did not fill up")


async def test_full_disk_is_told_and_no_acknowledged_write_is_lost(
    disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis, "NEEDED_BYTES", 0)
    port = free_port()
    url = redis.embedded_url(port)
    command = redis.embedded_command(port, disk / "data")
    supervisor = Supervisor()
    try:
        await supervisor.start(Program("redis", command, disk / "redis.log", lambda: redis.check(url), 60, 10))
        with client_library.Redis.from_url(url, retry=None) as connection:
            acknowledged = await asyncio.to_thread(write_until_it_fails, connection)
            assert acknowledged > 100
            with caplog.at_level(logging.ERROR):
                await until(lambda: f"the disk of {disk} is full" in caplog.text)
            subprocess.run(("mount", "-o", f"remount,{LARGE}", disk), check=True)
            await until(lambda: asyncio.to_thread(_holds, connection, acknowledged))
            connection.set("room", "again")
    finally:
        await supervisor.stop()


def _holds(connection: client_library.Redis, count: int) -> bool:
    try:
        return all(connection.exists(f"key:{number}") for number in range(count))
    except client_library.RedisError:
        return False
