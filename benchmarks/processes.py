"""Server processes of a benchmark: started, watched for their CPU time, stopped with everything they started."""

import asyncio
import os
import socket
import time
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving import child_process

TICKS = os.sysconf("SC_CLK_TCK")
RUN = Path("build/bench/run")
KNOWN = {"tritonserver": "triton", "triton_python_backend_stub": "runner", "valkey-server": "redis"}


class Server:
    """One process and its descendants, output in build/bench/run/NAME.log."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._command = command
        self._environment = os.environ | environment if environment else None
        self._process: Process | None = None

    async def start(self) -> None:
        RUN.mkdir(parents=True, exist_ok=True)
        with (RUN / f"{self.name}.log").open("ab") as log:
            self._process = await child_process.start(self._command, log, self._environment)

    async def stop(self) -> None:
        if self._process is not None:
            await child_process.stop(self._process, grace=20.0)

    def require_running(self) -> None:
        """RuntimeError when it has ended."""
        if self._process is None or self._process.returncode is not None:
            raise RuntimeError(f"{self.name} ended, see {RUN / self.name}.log")

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time since their start, by kind of process."""
        return tree_cpu_seconds(self._process.pid, self.name) if self._process else {}


def tree_cpu_seconds(root: int, name: str) -> dict[str, float]:
    """CPU seconds of a process and its living descendants; `name` is what an unknown executable is counted as."""
    children: dict[int, list[int]] = {}
    found: dict[int, tuple[str, float]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (facts := _stat(entry)) is not None:
            parent, executable, seconds = facts
            children.setdefault(parent, []).append(int(entry.name))
            found[int(entry.name)] = executable, seconds
    total: dict[str, float] = defaultdict(float)
    todo = [root]
    while todo:
        pid = todo.pop()
        todo += children.get(pid, [])
        executable, seconds = found.get(pid, ("", 0.0))
        total[KNOWN.get(executable, name)] += seconds
    return total


def _stat(entry: Path) -> tuple[int, str, float] | None:
    """Parent, executable and CPU seconds; None for a process that has just ended."""
    try:
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
        executable = Path((entry / "cmdline").read_bytes().split(b"\0")[0].decode()).name
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), executable, (int(fields[11]) + int(fields[12])) / TICKS


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


async def until_serving(server: Server, address: str, seconds: float = 300.0) -> None:
    """Returns when grpc.health.v1 says SERVING; RuntimeError when the process ends or takes too long."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        server.require_running()
        async with grpc.aio.insecure_channel(address) as channel:
            try:
                reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.aio.AioRpcError:
                pass
        await asyncio.sleep(0.2)
    raise RuntimeError(f"{server.name} is not serving after {seconds} s, see {RUN / server.name}.log")
