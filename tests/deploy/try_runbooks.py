"""Each runbook against the fault that it is for: python -m tests.deploy.try_runbooks [ALERT...]

The real stack, a real Prometheus with our rules, their windows made seconds. Each fault is done to a running system;
then its alert has to fire, every query of its runbook has to find something, and with the fault undone the alert has
to end. What happened is written to docs/runbooks-tried.md. It takes minutes and makes a machine busy: no part of the
test suite.
"""

import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import trustme
import yaml

import siftline
from tests.deploy.programs import ROOT, program
from tests.running import certificates, model_service, model_versions, stack
from tests.running import gateway as gateways
from tests.running.model_service import free_port
from tests.running.stack import RunningStack

PAGE = ROOT / "docs/runbooks-tried.md"
EMBED, RERANK = "all-minilm-l6-v2", "siftline-minilm-l6-reranker"
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


@dataclass
class Bench:
    """The stack under trial, and what watches it."""

    running: RunningStack
    folder: Path
    models: Path
    prometheus: str = ""
    later: ExitStack = field(default_factory=ExitStack)  # what goes on until the alert has ended
    targets: dict[str, list[str]] = field(default_factory=dict)

    def process(self, *words: str) -> psutil.Process:
        children = psutil.Process(self.running.process.pid).children(recursive=True)
        return next(each for each in children if all(word in " ".join(each.cmdline()) for word in words))

    def ask(self, query: str) -> list[object]:
        url = f"{self.prometheus}/api/v1/query?query={urllib.parse.quote(query)}"
        with urllib.request.urlopen(url, timeout=10) as reply:
            return list(json.load(reply)["data"]["result"])

    def watch(self, job: str, address: str) -> None:
        """Has a process scraped from now on; it is forgotten with the next one."""
        started = {job: [address]} if address else {}
        found = [{"targets": targets, "labels": {"job": job}} for job, targets in self.targets.items()]
        found += [{"targets": targets, "labels": {"job": job}} for job, targets in started.items()]
        (self.folder / "targets.json").write_text(json.dumps(found))

    def firing(self, alert: str) -> bool:
        return bool(self.ask(f'ALERTS{{alertname="{alert}",alertstate="firing"}}'))


@contextmanager
def load(bench: Bench, threads: int = 2, depth: int = 8) -> Iterator[None]:
    """Searches without pause, whatever comes of them."""
    stop = threading.Event()

    def ask() -> None:
        number = 0
        with siftline.Client(bench.running.endpoints["gateway"], timeout=5) as client:
            while not stop.is_set():
                number += 1
                with suppress(siftline.SiftlineError):
                    client.search("facts", f"fact number {number % 60}", recall_depth=depth)

    workers = [threading.Thread(target=ask) for _ in range(threads)]
    for each in workers:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in workers:
            each.join()


@contextmanager
def again_and_again(act: Callable[[], None], seconds: float) -> Iterator[None]:
    """For a fault that parts recover from by themselves."""
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(seconds):
            with suppress(StopIteration, psutil.Error):
                act()

    worker = threading.Thread(target=go_on)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(psutil.Error):  # a part that is silent is replaced
            process.send_signal(signal.SIGCONT)


@contextmanager
def fault(bench: Bench, kind: str) -> Iterator[None]:
    """What the marred reranker does with each batch while the file is there."""
    (bench.models / kind).touch()
    try:
        yield
    finally:
        (bench.models / kind).unlink()


def kill(bench: Bench, *words: str) -> Callable[[], None]:
    return lambda: bench.process(*words).kill()


@contextmanager
def cacheless(bench: Bench) -> Iterator[None]:
    """A second gateway (its metrics are scraped all the time) whose cache is not there."""
    ends = bench.running.endpoints
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    flags = (f"--embed={ends['embed']}", f"--rerank={ends['rerank']}")
    urls = (f"--cache-url={nowhere}", f"--index-url={ends['redis']}")
    started = gateways.start(bench.folder / "cacheless", *flags, *urls)
    try:
        started.wait_until(True, 30)
        bench.watch("gateway", started.metrics)
        stop = threading.Event()

        def ask() -> None:
            with siftline.Client(started.address) as client:
                while not stop.is_set():
                    client.embed([f"text {time.time()}"])

        worker = threading.Thread(target=ask)
        worker.start()
        yield
        stop.set()
        worker.join()
    finally:
        bench.watch("", "")
        started.process.terminate()
        started.process.wait()


@contextmanager
def other_precision(bench: Bench) -> Iterator[None]:
    flags = ("--precision=fp32", "--instances=1", "--batch-tokens=1024")
    with model_service.running("services.embed", bench.models / EMBED, bench.folder / "fp32", *flags) as other:
        bench.watch("embed", other.metrics)
        yield
        bench.watch("", "")


@contextmanager
def ending(bench: Bench, days: float) -> Iterator[None]:
    """A second gateway, whose certificate is not renewed: what came in its place has the key of another."""
    authority, nowhere = trustme.CA(), f"redis://127.0.0.1:{free_port()}/0"
    shown = certificates.files(bench.folder / f"certificate-{days}", authority)
    shown.identify(certificates.local(authority, seconds=days * 86_400))
    ends = bench.running.endpoints
    flags = (f"--embed={ends['embed']}", f"--rerank={ends['rerank']}", f"--tls-cert={shown.cert}")
    urls = (f"--tls-key={shown.key}", f"--cache-url={nowhere}", f"--index-url={ends['redis']}")
    started = gateways.start(bench.folder / f"ending-{days}", *flags, *urls)
    for undo in (lambda: bench.watch("", ""), started.process.wait, started.process.terminate):
        bench.later.callback(undo)
    bench.watch("gateway", started.metrics)
    until(lambda: bool(bench.ask("siftline_tls_expiry_timestamp_seconds < +Inf")), 30)
    key = shown.key.read_bytes()
    shown.identify(certificates.local(authority, seconds=90 * 86_400))
    renewed = shown.key.read_bytes()
    shown.key.write_bytes(key)
    yield
    assert "TLS: " in started.log.read_text(), started.log.read_text()  # step 3 of the page: logs | grep TLS
    shown.key.write_bytes(renewed)


@contextmanager
def bad_rollout(bench: Bench) -> Iterator[None]:
    bench.running.siftline("rollout", "rerank", "worst", f"--replicas={bench.running.endpoints['rerank']}")
    yield


def _both(*contexts: Callable[[Bench], object]) -> Callable[[Bench], ExitStack]:
    def made(bench: Bench) -> ExitStack:
        held = ExitStack()
        for each in contexts:
            held.enter_context(each(bench))  # type: ignore[arg-type]
        return held

    return made


SLOW = _both(load, lambda b: fault(b, "slow"))
CASES: dict[str, tuple[str, Callable[[Bench], object]]] = {
    "SiftlineCertificateEnds": (
        "a certificate ends in ten days; the next one comes with another's key",
        lambda b: ending(b, 10),
    ),
    "SiftlineCertificateEndsSoon": (
        "a certificate ends tomorrow; the next one comes with another's key",
        lambda b: ending(b, 1),
    ),
    "SiftlineRolloutTakenBack": ("a model with its scores negated is rolled out", bad_rollout),
    "SiftlineCacheFails": ("a gateway whose cache is not there", cacheless),
    "SiftlineModelsDiffer": ("a second embed service in another precision", other_precision),
    "SiftlineOutOfMemorySplits": ("the engine says that it has no memory", _both(load, lambda b: fault(b, "memory"))),
    "SiftlineBatchesFail": ("the engine fails every batch", _both(load, lambda b: fault(b, "error"))),
    "SiftlineSearchDegraded": (
        "the rerank service is killed, again and again",
        _both(load, lambda b: again_and_again(kill(b, "services.rerank"), 2)),
    ),
    "SiftlineServiceUnreachable": (
        "the rerank service is killed, again and again",
        lambda b: again_and_again(kill(b, "services.rerank"), 1),
    ),
    "SiftlineDown": (
        "the embed service is killed, again and again",
        lambda b: again_and_again(kill(b, "services.embed"), 1),
    ),
    "SiftlineNotReady": (
        "the reranker's tritonserver is killed, again and again",
        lambda b: again_and_again(kill(b, "tritonserver", "triton-rerank"), 2),
    ),
    "SiftlineEngineRecovers": (
        "the same, with time to come back",
        lambda b: again_and_again(kill(b, "tritonserver", "triton-rerank"), 8),
    ),
    "SiftlineErrorsBurnFast": ("the index is stopped", _both(load, lambda b: stopped(b.process("valkey-server")))),
    "SiftlineErrorsBurnSlow": ("the index is stopped", _both(load, lambda b: stopped(b.process("valkey-server")))),
    "SiftlineQueueSlow": ("16 callers, 50 passages each", lambda b: load(b, 16, 50)),
    "SiftlineSearchSlowBurnFast": ("the engine takes 1.5 s longer for a batch", SLOW),
    "SiftlineSearchSlowBurnSlow": ("the engine takes 1.5 s longer for a batch", SLOW),
}


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


def until(holds: Callable[[], bool], seconds: float) -> float | None:
    """Seconds that it took; None when it did not come."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        with suppress(OSError):
            if holds():
                return time.monotonic() - started
        time.sleep(0.5)
    return None


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
