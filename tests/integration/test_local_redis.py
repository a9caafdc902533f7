"""The embedded Redis, for real: durable, on loopback, and plain about what it lacks."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis as client_library

from local import redis
from serving import supervisor
from serving.errors import FailedPrecondition, Unavailable
from tests.running.model_service import free_port


def program(port: int, data: Path, command: tuple[str, ...] = ()) -> supervisor.Program:
    return supervisor.Program(
        name="redis",
        command=command or redis.embedded_command(port, data),
        log=data / "redis.log",
        check=lambda: redis.check(redis.embedded_url(port)),
        ready_seconds=60,
        grace_seconds=10,
    )


@asynccontextmanager
async def running(program: supervisor.Program) -> AsyncIterator[supervisor.Supervisor]:
    group = supervisor.Supervisor()
    try:
        await group.start(program)
        yield group
    finally:
        await group.stop()


@pytest.fixture(name="port")
def _port() -> int:
    return free_port()


async def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


def answers(connection: client_library.Redis) -> bool:
    try:
        return bool(connection.ping())
    except client_library.RedisError:
        return False


async def test_killed_server_comes_back_with_every_acknowledged_write(tmp_path: Path, port: int) -> None:
    async with running(program(port, tmp_path)):
        with client_library.Redis(port=port) as connection:
            connection.execute_command("FT.CREATE", "idx", "PREFIX", 1, "d:", "SCHEMA", "t", "TEXT")
            for number in range(200):
                connection.hset(f"d:{number}", "t", f"word{number}")
            os.kill(connection.info("server")["process_id"], signal.SIGKILL)
            await eventually(lambda: answers(connection))
            assert connection.dbsize() == 200
            await eventually(lambda: connection.ft("idx").search("word199").total == 1)


async def test_it_listens_on_loopback_only_and_ends_when_stopped(tmp_path: Path, port: int) -> None:
    async with running(program(port, tmp_path)):
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


async def test_server_without_query_engine_is_refused(tmp_path: Path, port: int) -> None:
    command = redis.embedded_command(port, tmp_path)
    plain = command[: command.index("--loadmodule")]
    with pytest.raises(FailedPrecondition, match="has no query engine"):
        async with running(program(port, tmp_path, plain)):
            pass


async def test_server_that_is_absent_is_named_without_its_password(port: int) -> None:
    with pytest.raises(Unavailable, match=f"the Redis at redis://127.0.0.1:{port}/0 does not answer"):
        await redis.check(f"redis://user:secret@127.0.0.1:{port}/0")


async def test_url_that_is_none_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="redis url"):
        await redis.check("localhost")


async def test_full_disk_is_named_in_one_line(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(Unavailable, match=r"^disk nearly full: \d+ MiB free at .*, \d+ MiB needed$"):
        redis.embedded_command(port, tmp_path)


async def test_missing_wheel_is_named(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="no embedded Redis: the wheel .* is not installed"):
        redis.embedded_command(port, tmp_path)


async def test_port_in_use_is_told_by_the_servers_own_words(tmp_path: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(Unavailable, match="redis ended with status 1: "):
        async with running(program(port, tmp_path)):
            pass
