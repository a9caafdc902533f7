"""The fault that each alert is for, done to a running system and undone: `try_runbooks` tries them."""

import json
import signal
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import trustme

import siftline
from benchmarks.peers.padded_folder import padded_folder
from tests.running import certificates, model_service
from tests.running import gateway as gateways
from tests.running.model_service import free_port
from tests.running.stack import RunningStack

EMBED, RERANK = "all-minilm-l6-v2", "siftline-minilm-l6-reranker"


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


def until(holds: Callable[[], bool], seconds: float) -> float | None:
    """Seconds that it took; None when it did not come."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        with suppress(OSError):
            if holds():
                return time.monotonic() - started
        time.sleep(0.5)
    return None


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
    with model_service.running("services.embed", padded_folder(EMBED), bench.folder / "fp32", *flags) as other:
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
