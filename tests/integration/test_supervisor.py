"""A part that no longer answers is killed and started again."""

import asyncio
import signal
from pathlib import Path

import psutil
import redis as client_library

from local import redis
from serving.supervisor import Program, Supervisor
from tests.running.model_service import free_port


async def test_a_stopped_part_is_replaced(tmp_path: Path) -> None:
    port = free_port()
    url = redis.embedded_url(port)
    program = Program(
        name="redis",
        command=redis.embedded_command(port, tmp_path / "data"),
        log=tmp_path / "log",
        check=lambda: redis.check(url),
        ready_seconds=20,
        grace_seconds=5,
        alive=lambda: redis.alive(url),
        silent_seconds=1.0,
    )
    supervisor = Supervisor()
    try:
        await supervisor.start(program)
        with client_library.Redis.from_url(url) as client:
            client.set("kept", "1")
            first = int(client.info("server")["process_id"])
        psutil.Process(first).send_signal(signal.SIGSTOP)
        async with asyncio.timeout(60):
            while psutil.pid_exists(first):
                await asyncio.sleep(0.1)
            while not await redis.alive(url):
                await asyncio.sleep(0.1)
        await redis.check(url)
        with client_library.Redis.from_url(url) as client:
            assert int(client.info("server")["process_id"]) != first
            assert client.get("kept") == b"1"
    finally:
        await supervisor.stop()
