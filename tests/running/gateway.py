"""The gateway as users start it."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.running import http
from tests.running.model_service import RunningService, free_port
from tests.running.stack import eventually

READY_SECONDS = 90.0


def start(folder: Path, *flags: str, listen: str = "", environment: Mapping[str, str] | None = None) -> RunningService:
    """`python -m gateway`, not waited for. `listen` HOST:PORT, a free one when empty."""
    address, metrics = listen or f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "gateway.log"
    command = (sys.executable, "-m", "gateway", f"--listen={address}", f"--metrics={metrics}", *flags)
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    return RunningService(address, metrics, process, log)


@contextmanager
def beside(endpoints: Mapping[str, Any], folder: Path, **settings: object) -> Iterator[tuple[str, RunningService]]:
    """Another gateway over a running stack's parts, with settings of its own: the URL of its HTTP, and the gateway."""
    address = f"127.0.0.1:{free_port()}"
    flags = {
        "http": address,
        "embed": endpoints["embed"],
        "rerank": endpoints["rerank"],
        "cache-url": endpoints["redis"],
        "index-url": endpoints["redis"],
        "cache-budget-s": 10,
    } | {name.replace("_", "-"): value for name, value in settings.items()}
    running = start(folder, *(f"--{name}={value}" for name, value in flags.items()))
    try:
        eventually(lambda: _ready(f"http://{address}"), READY_SECONDS)
        yield f"http://{address}", running
    finally:
        running.process.terminate()
        running.process.wait(30)


def _ready(url: str) -> bool:
    try:
        return http.ask(f"{url}/health").status == 200
    except OSError:
        return False


def metric(gateway: RunningService, series: str) -> float:
    """Value of a series, written as /metrics writes it."""
    with urllib.request.urlopen(f"http://{gateway.metrics}/metrics", timeout=30) as reply:
        lines = reply.read().decode().splitlines()
    return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(series)))
