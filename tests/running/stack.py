"""The whole stack as users start it, on free ports and with a state of its own; and a look at its processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_SECONDS = 180.0
STOP_SECONDS = 90.0
# A cache that is late would have a text computed again, in other company, and its vector differ in the last digits.
PATIENT = {"SIFTLINE_GATEWAY_CACHE_BUDGET_S": "10"}


@dataclass(frozen=True)
class RunningStack:
    process: subprocess.Popen[bytes]
    state: Path
    output: Path

    @property
    def endpoints_file(self) -> Path:
        return self.state / "run" / "endpoints.json"

    @property
    def endpoints(self) -> dict[str, Any]:
        return dict(json.loads(self.endpoints_file.read_text()))

    @property
    def environment(self) -> Mapping[str, str]:
        """For commands that are to talk to this stack."""
        return os.environ | {"SIFTLINE_ADDRESS": self.endpoints["gateway"]}

    def siftline(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", "siftline.cli", *arguments)
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300)

    def interrupt(self) -> int:
        """What a terminal does at Ctrl-C: the signal goes to the whole foreground group. The exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running(state: Path, *flags: str, command: tuple[str, ...] = ()) -> Iterator[RunningStack]:
    """`siftline serve` (or `command`) with its state in `state`; ready inside the block, gone after it."""
    start = command or (sys.executable, "-m", "siftline.cli", "serve", f"--state={state}", "--port-base=0", *flags)
    state.mkdir(parents=True, exist_ok=True)
    output = state / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            start, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True, env=os.environ | PATIENT
        )
    stack = RunningStack(process, state, output)
    try:
        eventually(lambda: _ready(stack), READY_SECONDS)
        yield stack
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(STOP_SECONDS)


def _ready(stack: RunningStack) -> bool:
    if stack.process.poll() is not None:
        raise AssertionError(f"ended with status {stack.process.returncode}: {stack.output.read_text()[-2000:]}")
    return stack.endpoints_file.exists()


def eventually(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


def fair(seconds: float) -> float:
    """What a promise of so many seconds comes to on a machine that has other work to do."""
    return seconds * max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


def descendants(pid: int) -> dict[int, str]:
    """Processes that `pid` started, and they started, ...; by id, with their commands."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        children = [child for child, its in parents.items() if its == parent]
        found |= {child: commands[child] for child in children}
        waiting.extend(children)
    return found


def alive(processes: Mapping[int, str]) -> dict[int, str]:
    """Those that still run the same command."""
    left = {}
    for pid, command in processes.items():
        try:
            now = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if now and now == command:
            left[pid] = command
    return left
