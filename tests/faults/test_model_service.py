"""What happens to an embed service's clients when its parts die, and that nobody has to help it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import grpc
import psutil
import pytest

from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from tests.running import model_service
from tests.running.model_service import RunningService

EMBED = "siftline.embed.v1.EmbedService"
RECOVERY_SECONDS = 60.0
ANSWER_SECONDS = 10.0


def descendants(service: RunningService, name: str) -> list[psutil.Process]:
    children = psutil.Process(service.process.pid).children(recursive=True)
    return [child for child in children if name in child.name()]


class Clients:
    """Asks without pause from a few threads; counts the answers by code, and notes the slowest."""

    def __init__(self, address: str, count: int = 4) -> None:
        self.codes: Counter[str] = Counter()
        self.slowest = 0.0
        self._address = address
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with grpc.insecure_channel(self._address) as channel:
            stub = embed_pb2_grpc.EmbedServiceStub(channel)
            while not self._stop.is_set():
                started = time.monotonic()
                try:
                    stub.Embed(embed_pb2.EmbedRequest(texts=["still there?"]), timeout=ANSWER_SECONDS)
                    self.codes["OK"] += 1
                except grpc.RpcError as error:
                    self.codes[error.code().name] += 1
                    time.sleep(0.05)
                self.slowest = max(self.slowest, time.monotonic() - started)


def metric(service: RunningService, name: str) -> float:
    """A metric without labels, as Prometheus would read it."""
    page = urllib.request.urlopen(f"http://{service.metrics}/metrics").read().decode()
    return float(re.search(rf"^{name} (\S+)$", page, re.MULTILINE)[1])


def wait_for_answer(service: RunningService) -> float:
    """Seconds until the service is ready and answers."""
    started = time.monotonic()
    service.wait_until(True, RECOVERY_SECONDS)
    with grpc.insecure_channel(service.address) as channel:
        embed_pb2_grpc.EmbedServiceStub(channel).Embed(embed_pb2.EmbedRequest(texts=["back"]), timeout=30)
    return time.monotonic() - started


@pytest.mark.parametrize("victim", ["triton_python_backend_stub", "tritonserver"])
def test_killed_under_load_it_comes_back_by_itself(service, victim) -> None:
    recoveries = metric(service, "siftline_engine_recoveries_total")
    engines = len(descendants(service, "triton_python_b"))
    with Clients(service.address) as clients:
        time.sleep(0.5)
        descendants(service, victim[:15])[0].kill()
        service.wait_until(False, RECOVERY_SECONDS)
        wait_for_answer(service)
        time.sleep(0.5)
    assert metric(service, "siftline_engine_recoveries_total") > recoveries
    assert metric(service, "siftline_ready") == 1
    assert len(descendants(service, "triton_python_b")) == engines
    assert set(clients.codes) == {"OK", "UNAVAILABLE"}
    assert clients.slowest < ANSWER_SECONDS


def test_a_frozen_tritonserver_is_noticed_and_replaced(service) -> None:
    frozen = descendants(service, "tritonserver")[0]
    frozen.suspend()
    with Clients(service.address) as clients:
        service.wait_until(False, RECOVERY_SECONDS)
        wait_for_answer(service)
        time.sleep(0.5)
    assert clients.codes["OK"] > 0
    assert not frozen.is_running()


def test_sigterm_answers_what_is_in_flight_and_leaves_nothing_behind(default_models: Path, tmp_path: Path) -> None:
    texts = [f"text number {i} of a request that takes a while " * 12 for i in range(150)]
    with model_service.running("services.embed", default_models / "all-minilm-l6-v2", tmp_path) as service:
        everything = psutil.Process(service.process.pid).children(recursive=True)
        with grpc.insecure_channel(service.address) as channel:
            call = embed_pb2_grpc.EmbedServiceStub(channel).Embed.future(embed_pb2.EmbedRequest(texts=texts))
            time.sleep(0.1)
            service.process.send_signal(signal.SIGTERM)
            assert call.result(timeout=60).count == len(texts)
        assert service.process.wait(30) == 0
    _, alive = psutil.wait_procs(everything, timeout=10)
    assert alive == []


def test_workers_share_port_engine_and_metrics(default_models: Path, tmp_path: Path) -> None:
    model = default_models / "all-minilm-l6-v2"
    with model_service.running("services.embed", model, tmp_path, "--workers=2") as service:
        assert len(descendants(service, "tritonserver")) == 1
        for _ in range(20):  # a connection each: the kernel spreads them
            with grpc.insecure_channel(service.address) as channel:
                embed_pb2_grpc.EmbedServiceStub(channel).Embed(embed_pb2.EmbedRequest(texts=["a"]), timeout=30)
        answered = rf'siftline_grpc_requests_total{{code="OK",method="/{EMBED}/Embed"}} ([0-9.]+)'
        page = urllib.request.urlopen(f"http://{service.metrics}/metrics").read().decode()
        assert float(re.search(answered, page)[1]) == 20


def test_a_port_in_use_is_one_line_and_exit_status_2(default_models: Path, tmp_path: Path, service) -> None:
    command = [sys.executable, "-m", "services.embed", f"--model-dir={default_models / 'all-minilm-l6-v2'}"]
    flags = [f"--listen={service.address}", f"--log-dir={tmp_path}"]
    ended = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=60, env=os.environ)
    assert ended.returncode == 2
    assert ended.stderr.strip().splitlines()[-1].startswith(f"siftline: listen address {service.address}")
