"""A long time under a steady load: no process grows, nothing is left open. `make soak SECONDS=3600`.

Clients search with texts of many lengths and write the same documents over and over; some give up half way. After a
warm-up the first and the last third of the samples are compared, by process.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.faults import system
from tests.faults.load import Load, Probe
from tests.faults.system import System

MEGABYTE = 1 << 20
DOCUMENTS = 200  # written again and again
LONGEST = 120  # words of a text
SAMPLES = 60
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Sample:
    """Of one process: MB of its own memory, open files (channels too), threads."""

    resident: float
    files: int
    threads: int


@dataclass(frozen=True)
class Growth:
    """Medians of the first and of the last third."""

    process: str
    first: Sample
    last: Sample

    @property
    def share(self) -> float:
        return self.last.resident / self.first.resident - 1

    def line(self) -> str:
        a, b = self.first, self.last
        memory = f"{a.resident:8.1f} → {b.resident:8.1f} MB {self.share:+7.2%}"
        return f"{self.process:44} {memory}   files {a.files} → {b.files}   threads {a.threads} → {b.threads}"


async def soak(whole: System, warm_up: float, seconds: float) -> list[Growth]:
    """Runs the load for both times; what each process was in the second."""
    samples: dict[str, list[Sample]] = {}
    load = Load(whole.address, "soak", documents=DOCUMENTS, longest=LONGEST, impatient=True)
    async with load:
        await asyncio.sleep(warm_up)
        processes = whole.processes()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for name, process in processes.items():
                samples.setdefault(name, []).append(_sample(process))
            await asyncio.sleep(seconds / SAMPLES)
    assert load.searches.good, "nothing was answered"
    assert set(load.searches.codes) <= {"OK", "DEADLINE_EXCEEDED", "CANCELLED"}, load.searches.codes
    return [_growth(name, seen) for name, seen in samples.items()]


def segments() -> int:
    """Of shared memory, of all that runs here."""
    return len(list(SHARED_MEMORY.glob("siftline-*")))


def _sample(process: psutil.Process) -> Sample:
    return Sample(process.memory_info().rss / MEGABYTE, process.num_fds(), process.num_threads())


def _growth(name: str, seen: Sequence[Sample]) -> Growth:
    third = max(1, len(seen) // 3)
    return Growth(name, _median(seen[:third]), _median(seen[-third:]))


def _median(seen: Sequence[Sample]) -> Sample:
    return Sample(
        statistics.median(one.resident for one in seen),
        statistics.median_low([one.files for one in seen]),
        statistics.median_low([one.threads for one in seen]),
    )


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--warm-up", type=float, help="default: a sixth of the time")
    options = parser.parse_args()
    warm_up = options.seconds / 6 if options.warm_up is None else options.warm_up
    async with system.running(Path(tempfile.mkdtemp()), Path("build/models")) as whole:
        probe = Probe(whole.address)
        await probe.create()
        await probe.aclose()
        before = segments()
        growths = await soak(whole, warm_up, options.seconds)
        print(f"{options.seconds:.0f} s after {warm_up:.0f} s of warm-up; shared memory {before} → {segments()}")
    for growth in growths:
        print(growth.line())
    return int(any(growth.share > 0.02 for growth in growths))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
