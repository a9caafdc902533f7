"""One tritonserver as a child process: started, watched, started again when it dies, stopped without remains.

It listens on loopback only and loads no model by itself (explicit model control); whoever owns it loads models
through its API, and does so again when `on_restart` is called.
"""

import asyncio
import hashlib
import logging
import socket
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from serving import child_process, tracing, triton_installation
from serving.errors import Unavailable

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
SHARED_MEMORY = Path("/dev/shm")
START_SECONDS = 60.0
EXIT_SECONDS = 5
# Compiling a large graph for the first time may take minutes; Triton's own limit for a stub is 30 s.
STUB_SECONDS = 300
FIRST_DELAY, LONGEST_DELAY = 0.5, 10.0
# A server that has lived this long did not die of its start.
HEALTHY_SECONDS = 30.0


@dataclass(frozen=True)
class TritonPorts:
    grpc: int
    http: int
    metrics: int


async def _nothing() -> None:
    pass


class TritonServer:
    """A tritonserver over the model repository `repository`; its output is appended to the file `log`, its
    traces go to the OpenTelemetry `collector` (URL), if there is one.

    `on_restart` is awaited each time after the server died and is up again, empty of models. When it raises, the
    server is killed and started once more. Create, start and stop it in one event loop.
    """

    def __init__(
        self,
        repository: Path,
        ports: TritonPorts,
        log: Path,
        on_restart: Callable[[], Awaitable[None]] = _nothing,
        collector: str = "",
    ) -> None:
        self._repository = repository
        self._ports = ports
        self._log = log
        self._on_restart = on_restart
        self._traces = _trace_settings(collector) if collector else []
        self._process: Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        # A name of its own, so that what a killed server left in shared memory can be told and removed.
        self._shared_memory_prefix = f"siftline-{hashlib.sha256(str(log.resolve()).encode()).hexdigest()[:12]}-"

    @property
    def grpc_address(self) -> str:
        return f"{HOST}:{self._ports.grpc}"

    @property
    def running(self) -> bool:
        """The process is there. Whether it can compute is for an inference to tell."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self.running else None

    async def start(self) -> None:
        """Returns when the server is live. Unavailable when it cannot start; nothing is left behind then."""
        for name, port in (("gRPC", self._ports.grpc), ("HTTP", self._ports.http), ("metrics", self._ports.metrics)):
            _require_free(name, port)
        await self._launch()
        self._watcher = asyncio.create_task(self._watch(), name="tritonserver")

    async def restart(self) -> None:
        """Kills the server, for example because a model's process no longer answers; it comes back by itself."""
        if self._process is not None:
            child_process.kill_group(self._process)

    async def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None
        await self._end()

    async def _watch(self) -> None:
        delay = FIRST_DELAY
        while self._process is not None:
            started = time.monotonic()
            code = await self._process.wait()
            await self._end()
            delay = FIRST_DELAY if time.monotonic() - started > HEALTHY_SECONDS else delay
            logger.error("tritonserver ended with status %s; starting it again in %.1f s", code, delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST_DELAY)
            await self._come_back()

    async def _come_back(self) -> None:
        try:
            await self._launch()
            await self._on_restart()
        except Exception:
            logger.exception("tritonserver did not come back")
            if self._process is not None:
                child_process.kill_group(self._process)

    async def _launch(self) -> None:
        installation = triton_installation.find()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._sweep()
        backends = installation.link_backends(self._log.with_suffix(".backends"))
        with self._log.open("ab") as log:
            self._process = await child_process.start(
                (str(installation.executable), *self._arguments(backends)), log, installation.environment()
            )
        try:
            await self._wait_until_live(self._process)
        except BaseException:
            await self._end()
            raise

    def _arguments(self, backends: Path) -> list[str]:
        settings = {
            "model-repository": self._repository,
            "backend-directory": backends,
            "model-control-mode": "explicit",
            # The rendered configuration is complete; completing it would start every stub twice.
            "disable-auto-complete-config": None,
            "exit-timeout-secs": EXIT_SECONDS,
            "http-address": HOST,
            "grpc-address": HOST,
            "metrics-address": HOST,
            "http-port": self._ports.http,
            "grpc-port": self._ports.grpc,
            "metrics-port": self._ports.metrics,
        }
        backend = {"shm-region-prefix-name": self._shared_memory_prefix, "stub-timeout-seconds": STUB_SECONDS}
        return (
            [f"--{name}" if value is None else f"--{name}={value}" for name, value in settings.items()]
            + [f"--backend-config=python,{name}={value}" for name, value in backend.items()]
            + self._traces
        )

    async def _wait_until_live(self, process: Process) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not await _answers(self._ports.metrics):
            if process.returncode is not None:
                raise Unavailable(f"tritonserver ended with status {process.returncode}: {self._last_words()}")
            if time.monotonic() > deadline:
                raise Unavailable(f"tritonserver not live after {START_SECONDS:.0f} s, see {self._log}")
            await asyncio.sleep(0.05)

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-200:]
        complaints = [line for line in lines if line.lower().startswith("error") or line[:2] in ("E0", "E1")]
        return f"{(complaints or lines or ['no output'])[-1].strip()} (log: {self._log})"

    async def _end(self) -> None:
        """At once: whoever stops it has nothing in flight, and unloading models takes seconds for nothing. Only the
        last spans are worth the wait.
        """
        if self._process is not None:
            await child_process.stop(self._process, grace=EXIT_SECONDS + 2 if self._traces else 0.0)
        self._sweep()

    def _sweep(self) -> None:
        for segment in SHARED_MEMORY.glob(f"{self._shared_memory_prefix}*"):
            segment.unlink(missing_ok=True)


def _trace_settings(collector: str) -> list[str]:
    """Requests that bring a trace with them are traced, and no others (rate 0)."""
    settings = ["mode=opentelemetry", "level=TIMESTAMPS", "rate=0", "count=-1"]
    exporter = [f"url={tracing.endpoint(collector)}", "resource=service.name=tritonserver"]
    return [f"--trace-config={one}" for one in settings] + [f"--trace-config=opentelemetry,{one}" for one in exporter]


def _require_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Unavailable(
                f"port {port} for Triton's {name} on {HOST} cannot be used: {error.strerror}", reason="PORT_IN_USE"
            ) from error


async def _answers(metrics_port: int) -> bool:
    """True when the metrics answer: of the three listeners tritonserver opens this one last.

    HTTP by hand, because a gRPC channel that was refused once waits a second before it tries again.
    """
    try:
        reader, writer = await asyncio.open_connection(HOST, metrics_port)
    except OSError:
        return False
    try:
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
