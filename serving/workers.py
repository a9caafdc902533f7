"""Several server processes on one port, for when one core cannot feed the engine.

The kernel spreads connections over them (SO_REUSEPORT). They are ordinary servers with a setting or two changed; the
process that starts them serves nothing itself but /metrics, where it shows their sum.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from serving.settings import ServerSettings
from serving.supervisor import Program, Supervisor
from serving.telemetry import start_metrics_server


async def run_workers(module: str, settings: ServerSettings, changes: Mapping[str, object]) -> None:
    """Runs `settings.workers` processes of `python -m module` until SIGTERM or SIGINT; one that dies comes back.

    `changes` are settings in which a worker differs from the process that starts it.
    """
    facts = settings.model_dump(mode="json") | {"workers": 1, "worker": True, "metrics": ""} | dict(changes)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    supervisor = Supervisor()
    with tempfile.TemporaryDirectory(prefix="siftline-metrics-") as shared:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared  # inherited by the workers, read by /metrics here
        start_metrics_server(settings.metrics)
        try:
            workers = [_worker(module, facts, number) for number in range(settings.workers)]
            await supervisor.start(*workers)
            await stop.wait()
        finally:
            await supervisor.stop()


def _worker(module: str, facts: Mapping[str, object], number: int) -> Program:
    flags = (f"--{name.replace('_', '-')}={value}" for name, value in facts.items() if value is not None)
    log = Path(str(facts["log_dir"])) / f"{module.rpartition('.')[2]}-worker-{number}.log"
    command = (sys.executable, "-m", module, *flags)
    grace = float(str(facts["drain_seconds"])) + 5
    return Program(f"{module} worker {number}", command, log, _started, ready_seconds=60.0, grace_seconds=grace)


async def _started() -> None:
    """A worker that runs counts as started: on a shared port nobody can ask a particular one."""
