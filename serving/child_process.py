"""Child processes that leave with us: in their own process group, and told to stop by the kernel when we die.

The kernel's notice (PR_SET_PDEATHSIG) is given when the *thread* that started the child ends, so start children
from a thread that lives as long as the process (the one of the event loop).

Run as a script, this file is the small step between fork and exec that asks for the notice. A `preexec_fn` would do
the same, but may deadlock in a process that has threads.
"""

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1


async def start(command: Sequence[str], log: IO[bytes], environment: Mapping[str, str] | None = None) -> Process:
    """Starts `command` as the leader of a new group (a terminal's Ctrl-C does not reach it), output to `log`.

    The kernel sends it SIGTERM when the calling thread ends.
    """
    step = (sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid()))
    return await asyncio.create_subprocess_exec(
        *step,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )


async def stop(process: Process, grace: float) -> None:
    """SIGTERM, `grace` seconds, SIGKILL to the whole group; returns when the leader has been reaped."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace)
    kill_group(process)
    await process.wait()


def kill_group(process: Process) -> None:
    """SIGKILL to every process that is left of the child's group, also when the child itself is gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _become(parent: int, command: list[str]) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:  # otherwise the parent died before the line above
        os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
