"""Each runbook against the fault that it is for: python -m tests.deploy.try_runbooks [ALERT...]

The real stack, a real Prometheus with our rules, their windows made seconds. Each fault is done to a running system;
then its alert has to fire, every query of its runbook has to find something, and with the fault undone the alert has
to end. What happened is written to docs/runbooks-tried.md. It takes minutes and makes a machine busy: no part of the
test suite.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import yaml

import siftline
from tests.deploy.programs import ROOT, program
from tests.deploy.runbook_faults import CASES, EMBED, RERANK, Bench, until
from tests.running import model_versions, stack
from tests.running.model_service import free_port

PAGE = ROOT / "docs/runbooks-tried.md"
WINDOWS = {
    "[2m]": "[6s]",
    "[5m]": "[6s]",
    "[10m]": "[8s]",
    "[30m]": "[8s]",
    "[1h]": "[10s]",
    "[6h]": "[12s]",
    "[3d]": "[14s]",
}
# What counts events keeps a window in which they have room.
COUNTED = {"[30m]": "[60s]", "[1h]": "[60s]"}
FIRES, ENDS = 60.0, 120.0


def queries(alert: str) -> list[str]:
    spans = (ROOT / f"docs/runbooks/{alert}.md").read_text().split("`")[1::2]
    return [span for span in spans if "siftline" in span and re.search(r"siftline[_:]", span) and " -n " not in span]


def shortened(folder: Path) -> str:
    """Our rules with windows of seconds; a pattern that finds them."""
    for file in (ROOT / "deploy/prometheus/rules").glob("*.yaml"):
        lines = []
        for line in file.read_text().splitlines():
            windows = COUNTED | WINDOWS if "increase(" not in line else WINDOWS | COUNTED
            for long, short in windows.items():
                line = line.replace(long, short)
            lines.append(re.sub(r"^(\s*)for: \S+$", r"\1for: 1s", line))
        (folder / file.name).write_text("\n".join(lines) + "\n")
    return str(folder / "*.yaml")


@contextmanager
def prometheus(bench: Bench) -> Iterator[None]:
    folder = bench.folder / "prometheus"
    (folder / "rules").mkdir(parents=True)
    bench.targets = {
        job: [urlsplit(bench.running.endpoints[f"{job}_metrics"]).netloc] for job in ("embed", "rerank", "gateway")
    }
    bench.watch("", "")
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [shortened(folder / "rules")],
        "scrape_configs": [
            {
                "job_name": "siftline",
                "file_sd_configs": [{"files": [str(bench.folder / "targets.json")], "refresh_interval": "1s"}],
            }
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    flags = {
        "config.file": folder / "prometheus.yaml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": address,
    }
    command = (program("prometheus", "Debian"), *(f"--{key}={value}" for key, value in flags.items()))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    bench.prometheus = f"http://{address}"
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def tried(bench: Bench, alert: str) -> str:
    what, made = CASES[alert]
    until(lambda: not bench.firing(alert), ENDS)
    found: dict[str, bool] = dict.fromkeys(queries(alert), False)
    with ExitStack() as bench.later:
        with made(bench):  # type: ignore[attr-defined]
            fired = until(lambda: bench.firing(alert), FIRES)
            for _ in range(8):
                for query in found:
                    with suppress(OSError):
                        found[query] |= bool(bench.ask(query))
                time.sleep(0.5)
        ended = until(lambda: not bench.firing(alert), ENDS) if fired is not None else None
    answered = f"{sum(found.values())} of {len(found)}"
    silent = "".join(f"; nothing: `{query}`" for query, said in found.items() if not said).replace("|", "\\|")
    took = f"{fired:.0f} s" if fired is not None else "NO"
    after = f"{ended:.0f} s" if ended is not None else "NO"
    return f"| [{alert}](runbooks/{alert}.md) | {what} | {took} | {answered}{silent} | {after} |"


def main() -> None:
    chosen = sys.argv[1:] or list(CASES)
    with tempfile.TemporaryDirectory(prefix="siftline-runbooks-") as scratch:
        folder = Path(scratch)
        models = folder / "models"
        models.mkdir()
        model_versions.copy(Path("build/models") / EMBED, models / EMBED, "")
        faults = "".join(
            f"if Path({str(models / kind)!r}).exists(): raise {error}; "
            for kind, error in (("memory", "MemoryError('a fault')"), ("error", "RuntimeError('a fault')"))
        )
        faults += f"if Path({str(models / 'slow')!r}).exists(): __import__('time').sleep(1.5); "
        lines = faults.replace("; ", "\n        ").strip()
        model_versions.marred(Path("build/models") / RERANK, models / RERANK, lines)
        model_versions.negated(Path("build/models") / RERANK, models / "worst", "logits")
        with stack.running(folder / "stack", f"--models={models}") as running:
            bench = Bench(running, folder, models)
            with siftline.Client(running.endpoints["gateway"]) as client:
                client.create_collection("facts")
                texts = [f"Fact number {n} is about the town of number {n * n}." for n in range(60)]
                client.upsert("facts", [siftline.Document(str(n), text) for n, text in enumerate(texts)])
            with prometheus(bench):
                until(lambda: len(bench.ask("siftline_ready == 1")) == 3, 60)
                for alert in chosen:
                    row = tried(bench, alert)
                    print(row, flush=True)
                    record(alert, row)
                    until(lambda: len(bench.ask("siftline_ready == 1")) == 3, 60)


def record(alert: str, row: str) -> None:
    """The page with this row in place of the alert's last one."""
    rows = {line.partition("]")[0].removeprefix("| ["): line for line in PAGE.read_text().splitlines()}
    rows[alert] = row
    shown = (rows[each] for each in CASES if each in rows)
    windows = ", ".join(f"{long.strip('[]')} as {short.strip('[]')}" for long, short in WINDOWS.items())
    untried = sorted({file.stem for file in (ROOT / "docs/runbooks").glob("*.md")} - rows.keys())
    tail = f"\nNot tried: {', '.join(untried)}. (promtool's tests see them fire.)\n" if untried else ""
    PAGE.write_text(HEAD.format(date=date.today().isoformat(), windows=windows) + "\n".join(shown) + "\n" + tail)


HEAD = """# Runbooks, tried

Last made on {date} by `python -m tests.deploy.try_runbooks`: the real stack on two cores, a real Prometheus with our
rules. Each fault was done to the running system. The alert had to fire, each query of its runbook to find something
while it did, and with the fault undone the alert had to end.

Shortened: the rules' windows ({windows}; where
events are counted, 30m and 1h as 60s), every `for` to 1 s, scrapes and rules to each second. So the fast and the slow
alert of a budget were told apart by promtool's tests alone, not here. The thresholds are the real ones, and so are the
queries of the runbooks.

The kubectl commands of the runbooks were not tried: there was no cluster.

| alert | fault | fired after | queries that found something | ended after |
|---|---|---|---|---|
"""

if __name__ == "__main__":
    main()
