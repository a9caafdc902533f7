"""Measures the default models on all judged sets, through a stack of its own, and writes docs/evaluation.md.

    make evaluation
    python -m tools.evaluation                    # the same
    python -m tools.evaluation medquad pubmedqa   # these anew; the page is of all that are in build/evaluation
    python -m tools.evaluation --queries 20 --docs build/trial --out build/trial   # to try it

Needs the shared sets. What was recalled and scored for each set is kept beside its report, for other weights.
"""

import argparse
import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local.stack import running
from siftline.cli import stack
from siftline.client import AsyncClient
from tools import evaluation_page

NOTES = Path(__file__).with_name("evaluation_notes.md")
OTHERS = ("medquad-en", "squadshifts-new-wiki", "pubmedqa-en")
LOGIT_ALONE = "-by-logit"


@dataclass(frozen=True)
class Run:
    """One report of `siftline eval`, or of `siftline calibrate`.

    distractors: sets whose passages are searched too
    begin_with: the run whose searches it takes over
    by_logit: whether the order by the logit alone is worth a line, made of the same searches
    """

    name: str
    dataset: str
    flags: str
    distractors: tuple[str, ...] = ()
    begin_with: str = ""
    by_logit: bool = True
    command: str = "eval"


RUNS = (
    # How long 5,000 queries over 20,000 passages take; so it is alone, and nothing else is in its time.
    Run(
        "squad-heldout24-vector",
        "squad-dev-en",
        "--split heldout24 --recall vector --depths 50 --latency-searches 0",
        OTHERS,
        by_logit=False,
    ),
    Run(
        "squad-heldout24",
        "squad-dev-en",
        "--split heldout24 --queries 500 --latency-searches 25",
        OTHERS,
        begin_with="squad-heldout24-vector",
    ),
    Run("medquad", "medquad-en", "--split test --queries 100 --sizes 1000 4000 --latency-searches 0"),
    # Of two first stages that differ by little more queries are needed.
    Run(
        "medquad-hybrid",
        "medquad-en",
        "--split test --queries 400 --recall vector hybrid --depths 50 --latency-searches 0",
        by_logit=False,
    ),
    Run("squadshifts", "squadshifts-new-wiki", "--queries 250 --latency-searches 0"),
    Run("pubmedqa", "pubmedqa-en", "--queries 200 --latency-searches 0"),
    Run("cmrc2018", "cmrc2018-zh", "--split test --queries 800 --latency-searches 0"),
    Run(
        "calibration-squadshifts", "squadshifts-new-wiki", "--queries 200 --depth 20 --keep-weight", command="calibrate"
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [run.name for run in RUNS]
    parser.add_argument("runs", nargs="*", default=names, metavar="RUN", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the judged sets")
    parser.add_argument("--out", type=Path, default=Path("build/evaluation"), help="folder of the reports")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of the page")
    parser.add_argument("--queries", type=int, metavar="N", help="so many of each set, to try it")
    stack.add_arguments(parser)
    parser.set_defaults(state=Path("build/evaluation/stack"), port_base=0)
    options = parser.parse_args()
    if unknown := set(options.runs) - set(names):
        parser.error(f"no run is called {min(unknown)}; these are: {', '.join(names)}")
    # A search that waits long for its turn is to be measured, not answered without its second stage.
    os.environ.setdefault("SIFTLINE_GATEWAY_RERANK_BUDGET_S", "60")
    return stack.run(lambda: _measure(options))


async def _measure(options: argparse.Namespace) -> None:
    async with running(stack.settings(options)) as endpoints:
        for run in RUNS:
            if run.name in options.runs:
                await _run(run, options, endpoints.gateway)
    done = [options.out / name for run in RUNS for name in (run.name, run.name + LOGIT_ALONE)]
    evaluation_page.write([folder for folder in done if folder.is_dir()], options.docs, NOTES)


async def _run(run: Run, options: argparse.Namespace, address: str) -> None:
    """Its report, and the one by the logit alone."""
    out = options.out / run.name
    out.mkdir(parents=True, exist_ok=True)
    shown = [run.command, str(options.data / run.dataset), *shlex.split(run.flags)]
    if run.distractors:
        shown += ["--distractors", *(str(options.data / each) for each in run.distractors)]
    if run.command == "calibrate":
        shown += ["--store", await _collection(run, address)]
    (out / evaluation_page.COMMAND).write_text(shlex.join(["siftline", *shown]) + "\n")
    if run.command == "calibrate":
        await _siftline(shown, address, out)
        return
    few = ["--queries", str(options.queries)] if options.queries else []
    trace, earlier = out / "trace.jsonl", options.out / run.begin_with / "trace.jsonl"
    replay = ["--replay", str(earlier)] if run.begin_with and earlier.exists() else []
    await _siftline([*shown, *few, *replay, "--trace", str(trace)], address, out)
    if run.by_logit:
        again = ["--replay", str(trace), "--recall-weight", "0", "--latency-searches", "0"]
        await _siftline([*shown, *few, *again], address, out.with_name(run.name + LOGIT_ALONE))


async def _collection(run: Run, address: str) -> str:
    """Of the set: `siftline eval` has made it."""
    async with AsyncClient(address) as client:
        names = [each.name for each in await client.list_collections()]
    return next(name for name in names if name.startswith(f"eval-{run.dataset}"))


async def _siftline(arguments: Sequence[str], address: str, out: Path) -> None:
    """Raises RuntimeError when it fails; it has said why."""
    command = [sys.executable, "-m", "siftline.cli", *arguments, "--address", address, "--out", str(out)]
    print(shlex.join(["siftline", *command[3:]]), flush=True)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        if await process.wait():
            raise RuntimeError(f"ended with status {process.returncode}")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


if __name__ == "__main__":
    sys.exit(main())
