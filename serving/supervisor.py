"""Keeps programs running: starts them, waits until they are ready, restarts what dies or falls silent, stops all."""

import asyncio
import logging
import os
import shutil
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from serving import child_process
from serving.errors import SiftlineError, Unavailable

logger = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 0.5, 10.0
HEALTHY_SECONDS = 30.0
POLL_SECONDS = 0.1
LISTEN_SECONDS = 1.0
# Less than this is as good as nothing; programs seldom say it as plainly.
FULL_BYTES = 1 << 20


@dataclass(frozen=True)
class Program:
    """One child process. `check` returns when the program is ready and raises a SiftlineError until then."""

    name: str
    command: tuple[str, ...]
    log: Path
    check: Callable[[], Awaitable[None]]
    ready_seconds: float
    # How long it may take to end by itself after SIGTERM.
    grace_seconds: float
    # Whether it answers at all, ready or not; None: nobody asks. A program that is silent for longer is killed.
    alive: Callable[[], Awaitable[bool]] | None = None
    silent_seconds: float = 60.0
    # Besides what this process has in its own.
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """A program and the process that runs it now."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when the program is ready; Unavailable, with its last line, when it ends instead."""
        self.program.log.parent.mkdir(parents=True, exist_ok=True)
        with self.program.log.open("ab") as log:
            self._process = await child_process.start(self.program.command, log, os.environ | self.program.environment)
        await self._wait_until_ready(self._process)

    def watch(self) -> None:
        self._watcher = asyncio.create_task(self._keep_running(), name=self.program.name)

    async def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        if self._process is not None:
            await child_process.stop(self._process, self.program.grace_seconds)

    async def _keep_running(self) -> None:
        delay = FIRST_DELAY
        while self._process is not None:
            started = time.monotonic()
            code = await self._end_of(self._process)
            child_process.kill_group(self._process)
            delay = FIRST_DELAY if time.monotonic() - started > HEALTHY_SECONDS else delay
            logger.error("%s in %.1f s", self._epitaph(code, "starting it again"), delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY)
            with suppress(SiftlineError):  # it ended again: the next round of this loop tells
                await self.start()

    async def _end_of(self, process: Process) -> int:
        listening = asyncio.create_task(self._kill_when_silent(process))
        try:
            return await process.wait()
        finally:
            listening.cancel()

    async def _kill_when_silent(self, process: Process) -> None:
        """A process that is stopped, or stuck, does not end by itself."""
        heard = time.monotonic()
        while self.program.alive is not None:
            await asyncio.sleep(LISTEN_SECONDS)
            if await self.program.alive():
                heard = time.monotonic()
            elif time.monotonic() - heard > self.program.silent_seconds:
                logger.error(
                    "%s has not answered for %.0f s; killing it", self.program.name, self.program.silent_seconds
                )
                child_process.kill_group(process)
                return

    async def _wait_until_ready(self, process: Process) -> None:
        deadline = time.monotonic() + self.program.ready_seconds
        while True:
            if process.returncode is not None:
                raise Unavailable(self._epitaph(process.returncode, f"log: {self.program.log}"))
            try:
                return await self.program.check()
            except Unavailable as error:
                if time.monotonic() > deadline:
                    raise Unavailable(f"{self.program.name} is not ready: {error} (log: {self.program.log})") from error
            await asyncio.sleep(POLL_SECONDS)

    def _epitaph(self, code: int, remark: str) -> str:
        return f"{self.program.name} ended with status {code}: {_last_line(self.program.log)} ({remark})"


class Supervisor:
    """Programs in the order in which they were started; each is watched from then on."""

    def __init__(self) -> None:
        self._groups: list[list[Child]] = []

    async def start(self, *programs: Program) -> None:
        """Starts the programs side by side; the first that fails ends the wait with its error. Call `stop` anyway."""
        children = [Child(program) for program in programs]
        self._groups.append(children)
        await _all(child.start() for child in children)
        for child in children:
            child.watch()

    async def stop(self) -> None:
        """Stops the last started first: who calls ends before who is called. Started together, stopped together."""
        while self._groups:
            await asyncio.gather(*(child.stop() for child in self._groups.pop()))


async def _all(starts: Iterable[Coroutine[None, None, None]]) -> None:
    """Awaits all; at the first error the others are cancelled, and awaited, before it is raised."""
    tasks = [asyncio.create_task(start) for start in starts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _last_line(log: Path) -> str:
    if shutil.disk_usage(log.parent).free < FULL_BYTES:
        return f"the disk of {log.parent} is full"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()[-50:]]
    return next((line for line in reversed(lines) if line), "no output")
