"""What the faults came to, as a page."""

import os
import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tests.faults.load import Seen
from tests.faults.overload import BUSY, DEPTH, PATIENCE_SECONDS, Answers
from tests.faults.system import SILENT_SECONDS

PAGE = Path("docs/faults.md")
DRAFT = Path("build/faults.md")

_INTRODUCTION = """\
# Faults

What clients see when parts die, hang, fill up or are cut off, and how long it takes until nobody notices any more.
Written by `make faults` ({day}, commit {commit}, {cores} cores: {processor}).
CI runs all but the slowest rows and fails when a code is not among those that a row allows, when a write that was
acknowledged is gone, or when the system does not come back by itself.

Real processes: a gateway, both services with their tritonservers, one Redis for the cache and one for the index, each
watched as `siftline serve` does. Clients search and write without pause and without retries, with five seconds each.
In brackets are the reasons for which searches were degraded: answered in recall order, or by words alone. *Whole again*
counts from the blow, or from the end of a fault that is held and then taken away, to the first of searches with both
stages and of acknowledged writes that go on for two seconds (a third of one where it was held). A part that is stopped
for good is killed by whoever watches it after {silent:.0f} s here, after a minute where it is deployed.

A FLUSHALL of the index is what it says: from then on the collection is NOT_FOUND. Where a certificate ends, every call
of a client connects anew; how they are replaced is in [security.md](security.md).

"""


@dataclass(frozen=True)
class Row:
    fault: str
    held: float | None
    searches: Seen
    writes: Seen
    whole_again: float
    acknowledged: int
    lost: int

    def line(self) -> str:
        cells = (
            self.fault,
            "" if self.held is None else f"{self.held:g} s",
            _counts(self.searches.codes, self.searches.degraded),
            _counts(self.writes.codes, Counter()),
            f"{self.searches.slowest:.1f} s",
            f"{max(0.0, self.whole_again):.1f} s",
            str(self.acknowledged),
            str(self.lost),
        )
        return f"| {' | '.join(cells)} |"


def overload(before: Answers, burst: Answers, whole_again: float, after: Answers) -> str:
    """The section on too much work."""
    return f"""
## Overload

{BUSY} clients that each ask again at once get {before.goodput:.1f} searches a second answered with both stages
({DEPTH} passages reranked), and {after.goodput:.1f} after the burst. Three times as many come for {burst.seconds:g} s,
with {PATIENCE_SECONDS:g} s of patience each: {burst.goodput:.1f} a second ({burst.goodput / before.goodput:.0%}) are
answered with both stages. All answers: {_counts(burst.codes, burst.degraded)}. Every refusal carries RetryInfo.
The system is whole again {max(0.0, whole_again):.1f} s after the burst.

Two rules do it: a model service refuses at once what it expects to be late, and the gateway lets in fewer searches
while the second stage has too much to do.
"""


def write(rows: Sequence[Row], section: str, file: Path) -> None:
    head = ("fault", "held", "searches", "writes", "slowest search", "whole again", "writes acknowledged", "lost")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(row.line() for row in rows)]
    file.parent.mkdir(exist_ok=True)
    file.write_text(_introduction() + "\n".join(lines) + "\n" + section, encoding="utf-8")


def _counts(codes: Counter[str], degraded: Counter[str]) -> str:
    counts = dict(codes.most_common())
    reasons = ", ".join(f"{count} {reason}" for reason, count in degraded.most_common())
    if reasons:
        counts["OK (" + reasons + ")"] = counts.pop("OK")
    return ", ".join(f"{count} {code}" for code, count in counts.items())


def _introduction() -> str:
    commit = subprocess.run(("git", "rev-parse", "--short", "HEAD"), capture_output=True, text=True).stdout.strip()
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = models[0].partition(":")[2].strip() if models else platform.machine()
    cores = len(os.sched_getaffinity(0))
    return _INTRODUCTION.format(
        day=date.today(), commit=commit, cores=cores, processor=processor, silent=SILENT_SECONDS
    )
