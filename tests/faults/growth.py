"""What a process was at the beginning of a soak and at its end, and what counts as growth."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields

SHARE = 0.02  # of its memory, that a process may grow by
POOLED = 2  # connections and threads that a pool makes when more calls than before meet
CALLS_TASKS = 20  # of calls that are in flight when a sample is taken


@dataclass(frozen=True)
class Sample:
    """Of one process: MB of memory, open files (connections too), threads, segments of shared memory, tasks."""

    resident: float
    files: float
    threads: float
    segments: float
    tasks: float = 0


@dataclass(frozen=True)
class Growth:
    """Medians of the first and of the last third."""

    process: str
    first: Sample
    last: Sample
    allowed: float = SHARE

    @property
    def share(self) -> float:
        return self.last.resident / self.first.resident - 1

    @property
    def grew(self) -> bool:
        a, b = self.first, self.last
        pooled = b.files > a.files + POOLED or b.threads > a.threads + POOLED
        return pooled or b.segments > a.segments or self.share > self.allowed or b.tasks > a.tasks + CALLS_TASKS

    def line(self) -> str:
        a, b = self.first, self.last
        counts = [(one.name, getattr(a, one.name), getattr(b, one.name)) for one in fields(Sample)[1:]]
        rest = "   ".join(f"{name} {before:g} → {after:g}" for name, before, after in counts)
        rest += "   GREW" if self.grew else ""
        return f"{self.process:32} {a.resident:7.1f} → {b.resident:7.1f} MB {self.share:+7.2%}   {rest}"


def growth(name: str, seen: Sequence[Sample], allowed: float) -> Growth:
    """From samples in the order of time."""
    third = max(1, len(seen) // 3)
    return Growth(name, _median(seen[:third]), _median(seen[-third:]), allowed)


def _median(seen: Sequence[Sample]) -> Sample:
    return Sample(*(statistics.median_low([getattr(one, field.name) for one in seen]) for field in fields(Sample)))
