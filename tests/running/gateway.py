"""The gateway as users start it."""

import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.running.model_service import RunningService, free_port

READY_SECONDS = 30.0


def start(folder: Path, *flags: str, listen: str = "", environment: Mapping[str, str] | None = None) -> RunningService:
    """`python -m gateway`, not waited for. `listen` HOST:PORT, a free one when empty."""
    address, metrics = listen or f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "gateway.log"
    command = (sys.executable, "-m", "gateway", f"--listen={address}", f"--metrics={metrics}", *flags)
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    return RunningService(address, metrics, process, log)


def metric(gateway: RunningService, series: str) -> float:
    """Value of a series, written as /metrics writes it."""
    with urllib.request.urlopen(f"http://{gateway.metrics}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(series)))
