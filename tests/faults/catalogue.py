"""The faults: what is done to the system, for how long, and what clients may see of it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from siftline.search.v1 import search_pb2 as pb
from siftline.search.v1 import search_pb2_grpc
from tests.faults.load import COLLECTION, Load, open_channel
from tests.faults.system import System

Strike = Callable[[System, Load], AbstractAsyncContextManager[None]]

FINE = frozenset({"OK"})
DOWN = frozenset({"OK", "UNAVAILABLE", "DEADLINE_EXCEEDED"})
FULL = frozenset({"OK", "RESOURCE_EXHAUSTED"})
HOLD_SECONDS = 1.0
IDLE_CLIENTS = 1000


@dataclass(frozen=True)
class Fault:
    """`strike` begins on entering its block and ends on leaving it, `hold` seconds later; None: it ends by itself.

    The codes are those that searches and writes may end with; `degraded`: searches may have to do without a stage.
    """

    name: str
    strike: Strike
    searches: frozenset[str] = FINE
    writes: frozenset[str] = FINE
    degraded: bool = False
    hold: float | None = HOLD_SECONDS
    slow: bool = field(default=False, kw_only=True)  # left to `make faults`


def kill(part: str, inside: str = "") -> Strike:
    return _signal(signal.SIGKILL, part, inside)


def stop(part: str, inside: str = "") -> Strike:
    """Stopped for good: whoever watches it has to notice."""
    return _signal(signal.SIGSTOP, part, inside)


def _signal(number: signal.Signals, part: str, inside: str) -> Strike:
    @asynccontextmanager
    async def strike(system: System, _: Load) -> AsyncIterator[None]:
        system.process(part, inside).send_signal(number)
        yield

    return strike


def pause(part: str, inside: str = "") -> Strike:
    """Stopped, and told to go on."""

    @asynccontextmanager
    async def strike(system: System, _: Load) -> AsyncIterator[None]:
        process = system.process(part, inside)
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    return strike


def cut(part: str) -> Strike:
    @asynccontextmanager
    async def strike(system: System, _: Load) -> AsyncIterator[None]:
        await system.lines[part].cut()
        try:
            yield
        finally:
            system.lines[part].mend()

    return strike


def delay(seconds: float, *parts: str) -> Strike:
    """There and back again takes `seconds` longer."""

    @asynccontextmanager
    async def strike(system: System, _: Load) -> AsyncIterator[None]:
        for part in parts:
            system.lines[part].delay = seconds / 2
        try:
            yield
        finally:
            for part in parts:
                system.lines[part].delay = 0.0

    return strike


def command(role: str, *words: str) -> Strike:
    @asynccontextmanager
    async def strike(system: System, _: Load) -> AsyncIterator[None]:
        with system.redis(role) as client:
            client.execute_command(*words)
        yield

    return strike


def out_of_memory(role: str) -> Strike:
    @asynccontextmanager
    async def strike(system: System, _: Load) -> AsyncIterator[None]:
        with system.redis(role) as client:
            client.config_set("maxmemory", "1mb")
            try:
                yield
            finally:
                client.config_set("maxmemory", "0")

    return strike


@asynccontextmanager
async def full_disk(system: System, _: Load) -> AsyncIterator[None]:
    filler = system.index_folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)) == 1 << 16:
                pass
    except OSError:
        pass
    try:
        yield
    finally:
        filler.unlink()


@asynccontextmanager
async def burst(system: System, load: Load) -> AsyncIterator[None]:
    async with load.crowd(10):
        yield


@asynccontextmanager
async def idle_clients(system: System, _: Load) -> AsyncIterator[None]:
    channels = [open_channel(system.address) for _ in range(IDLE_CLIENTS)]
    try:
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        yield
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


@asynccontextmanager
async def slow_readers(system: System, _: Load) -> AsyncIterator[None]:
    """Thirty large answers that nobody takes from the wire."""
    line = system.lines["gateway"]
    async with open_channel(line.address) as channel:
        await channel.channel_ready()
        line.stall()
        calls = [_everything(channel) for _ in range(30)]
        try:
            yield
        finally:
            for call in calls:
                call.cancel()
            line.mend()


@asynccontextmanager
async def vanishing_clients(system: System, _: Load) -> AsyncIterator[None]:
    """Twenty times ten clients whose connection breaks in the middle of a search."""
    line = system.lines["gateway"]
    for _round in range(20):
        async with open_channel(line.address) as channel:
            await channel.channel_ready()
            calls = [_everything(channel) for _ in range(10)]
            await asyncio.sleep(0.02)
            await line.cut()
            await asyncio.gather(*calls, return_exceptions=True)
            line.mend()
    yield


def _everything(channel: grpc.aio.Channel) -> "asyncio.Future[Any]":
    request = pb.SearchRequest(
        collection=COLLECTION, query="river stone", recall_depth=1000, top_k=1000, rerank=pb.RERANK_MODE_OFF
    )
    return asyncio.ensure_future(search_pb2_grpc.SearchServiceStub(channel).Search(request, timeout=20))


STUB = "triton_python_b"
FAULTS = (
    Fault("embed service: kill -9", kill("embed"), FINE, DOWN, True, None),
    Fault("embed service: its tritonserver, kill -9", kill("embed", "tritonserver"), FINE, DOWN, True, None),
    Fault("embed service: its python stub, kill -9", kill("embed", STUB), FINE, DOWN, True, None),
    Fault("rerank service: kill -9", kill("rerank"), FINE, FINE, True, None),
    Fault(
        "rerank service: its tritonserver, kill -9", kill("rerank", "tritonserver"), FINE, FINE, True, None, slow=True
    ),
    Fault("rerank service: its python stub, kill -9", kill("rerank", STUB), FINE, FINE, True, None, slow=True),
    Fault("gateway: kill -9", kill("gateway"), DOWN, DOWN, False, None),
    Fault("cache Redis: kill -9", kill("cache"), hold=None),
    Fault("index Redis: kill -9", kill("index"), DOWN, DOWN, False, None),
    Fault("embed service: SIGSTOP", stop("embed"), DOWN, DOWN, True, None, slow=True),
    Fault("embed service: its tritonserver, SIGSTOP", stop("embed", "tritonserver"), DOWN, DOWN, True, None),
    Fault("embed service: its python stub, SIGSTOP", stop("embed", STUB), DOWN, DOWN, True, None, slow=True),
    Fault("rerank service: SIGSTOP", stop("rerank"), DOWN, DOWN, True, None, slow=True),
    Fault("gateway: SIGSTOP", stop("gateway"), DOWN, DOWN, False, None, slow=True),
    Fault("cache Redis: SIGSTOP", stop("cache"), hold=None, slow=True),
    Fault("index Redis: SIGSTOP", stop("index"), DOWN, DOWN, False, None, slow=True),
    Fault("embed service: SIGSTOP, SIGCONT", pause("embed"), DOWN, DOWN, True),
    Fault("rerank service: SIGSTOP, SIGCONT", pause("rerank"), DOWN, DOWN, True),
    Fault("gateway: SIGSTOP, SIGCONT", pause("gateway"), DOWN, DOWN),
    Fault("cache Redis: SIGSTOP, SIGCONT", pause("cache")),
    Fault("index Redis: SIGSTOP, SIGCONT", pause("index"), DOWN, DOWN),
    Fault("cache Redis: FLUSHALL", command("cache", "FLUSHALL"), hold=None),
    Fault("cache Redis: out of memory", out_of_memory("cache")),
    Fault("index Redis: out of memory", out_of_memory("index"), FINE, FULL | DOWN),
    Fault("index Redis: disk full", full_disk, DOWN, DOWN | FULL),
    Fault("both Redis: a second slower", delay(1.0, "cache", "index"), hold=3.0),
    Fault("every line: 200 ms slower", delay(0.2, "embed", "rerank", "cache", "index"), hold=2.0),
    Fault("gateway to embed service: cut", cut("embed"), FINE, DOWN, True),
    Fault("gateway to rerank service: cut", cut("rerank"), FINE, FINE, True),
    Fault("gateway to cache Redis: cut", cut("cache")),
    Fault("gateway to index Redis: cut", cut("index"), DOWN, DOWN),
    Fault("ten times the searches", burst, FULL, FINE | FULL, True, 2.0),
    Fault(f"{IDLE_CLIENTS} idle clients", idle_clients, hold=0.5),
    Fault("clients that do not read", slow_readers),
    Fault("clients that vanish", vanishing_clients, hold=None),
)
