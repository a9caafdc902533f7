"""The whole of siftline with a Redis for each role and a proxy on every line between parts; watched and restarted."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import redis as client_library

from local import probes, redis
from serving.supervisor import Program, Supervisor
from tests.running.model_service import free_port
from tests.running.proxy import Proxy

SILENT_SECONDS = 4.0  # a minute where it is deployed; the table says so
LINES = ("embed", "rerank", "cache", "index", "gateway")
MODELS = {"embed": "all-minilm-l6-v2", "rerank": "siftline-minilm-l6-reranker"}


class System:
    """Ports and processes of the parts: embed, rerank, cache, index, gateway. `engine`: options of the query engine."""

    def __init__(self, folder: Path, models: Path, silent_seconds: float, engine: Sequence[str] = ()) -> None:
        self._folder = folder
        self._models = models
        self._silent_seconds = silent_seconds
        self._engine = engine
        self._ports = {name: free_port() for name in LINES}
        self.http = f"127.0.0.1:{free_port()}"
        self.lines = {name: Proxy(port) for name, port in self._ports.items()}
        self.metrics = {name: f"127.0.0.1:{free_port()}" for name in ("embed", "rerank", "gateway")}
        self.supervisor = Supervisor()

    @property
    def address(self) -> str:
        """Of the gateway, as clients reach it."""
        return f"127.0.0.1:{self._ports['gateway']}"

    @property
    def index_folder(self) -> Path:
        return self._folder / "index"

    def redis(self, role: str) -> client_library.Redis:
        """A client of the cache's or the index's Redis, past the proxy."""
        return client_library.Redis(port=self._ports[role], protocol=2, retry=None, socket_timeout=10)

    def process(self, part: str, inside: str = "") -> psutil.Process:
        """The part's own process, or the first of those under it whose name holds `inside`."""
        if inside:
            children = self.process(part).children(recursive=True)
            return next(child for child in children if inside in child.name())
        port = str(self._ports[part])
        mine = psutil.Process().children(recursive=False)
        return next(child for child in mine if any(port in word for word in child.cmdline()))

    def processes(self) -> dict[str, psutil.Process]:
        """Every process of the system by a name of its own."""
        found = {part: self.process(part) for part in LINES}
        for part in ("embed", "rerank"):
            inner = found[part].children(recursive=True)
            found |= {f"{part} {child.name()} {place}": child for place, child in enumerate(inner)}
        return found

    async def start(self) -> None:
        for line in self.lines.values():
            await line.start()
        await self.supervisor.start(self._redis("cache"), self._redis("index"))
        await self.supervisor.start(*(self._service(name, model) for name, model in MODELS.items()))
        await self.supervisor.start(self._module("gateway", "gateway", *self.gateway_flags(), f"--http={self.http}"))

    async def stop(self) -> None:
        await self.supervisor.stop()
        for line in self.lines.values():
            await line.stop()

    def _redis(self, role: str) -> Program:
        port = self._ports[role]
        redis.NEEDED_BYTES = 0  # the index's disk is a small one
        return Program(
            name=role,
            command=(*redis.embedded_command(port, self._folder / role), *self._engine),  # loadmodule is the last
            environment=redis.ALLOCATOR,
            log=self._folder / f"{role}.log",
            check=lambda: redis.check(redis.embedded_url(port)),
            ready_seconds=60,
            grace_seconds=10,
            alive=lambda: redis.alive(redis.embedded_url(port)),
            silent_seconds=self._silent_seconds,
        )

    def _service(self, name: str, model: str) -> Program:
        flags = (f"--model-dir={self._models / model}", f"--log-dir={self._folder}")
        return self._module(name, f"services.{name}", *flags)

    def gateway_flags(self) -> list[str]:
        lines = {name: line.address for name, line in self.lines.items()}
        return [
            f"--embed={lines['embed']}",
            f"--rerank={lines['rerank']}",
            f"--cache-url=redis://{lines['cache']}/0",
            f"--index-url=redis://{lines['index']}/0",
        ]

    def _module(self, name: str, module: str, *flags: str) -> Program:
        address = f"127.0.0.1:{self._ports[name]}"
        given = (f"--listen={address}", f"--metrics={self.metrics[name]}", *flags)
        return Program(
            name=name,
            command=(sys.executable, "-m", module, *given),
            log=self._folder / f"{name}.log",
            check=probes.serving(address),
            ready_seconds=120,
            grace_seconds=40,
            alive=probes.alive(address),
            silent_seconds=self._silent_seconds,
        )


@asynccontextmanager
async def running(
    folder: Path, models: Path, silent_seconds: float = SILENT_SECONDS, engine: Sequence[str] = ()
) -> AsyncIterator[System]:
    """Started whole, and gone after the block."""
    system = System(folder, models, silent_seconds, engine)
    try:
        await system.start()
        yield system
    finally:
        await system.stop()
