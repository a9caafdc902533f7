"""An embed service told to end, shared out over workers, and started where it can't be."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import grpc
import psutil

from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from tests.running import model_service
from tests.running.model_service import RunningService

EMBED = "siftline.embed.v1.EmbedService"


def descendants(service: RunningService, name: str) -> list[psutil.Process]:
    children = psutil.Process(service.process.pid).children(recursive=True)
    return [child for child in children if name in child.name()]


def until_tokens_wait(service: RunningService) -> None:
    """Those of a long request: the service has it, and computes its first batches."""
    page, deadline = f"http://{service.metrics}/metrics", time.monotonic() + 60
    while 'siftline_queued_tokens{lane="interactive"} 0.0' in urllib.request.urlopen(page).read().decode():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_sigterm_answers_what_is_in_flight_and_leaves_nothing_behind(default_models: Path, tmp_path: Path) -> None:
    texts = [f"text number {i} of a request that takes a while " * 12 for i in range(150)]
    with model_service.running("services.embed", default_models / "all-minilm-l6-v2", tmp_path) as service:
        everything = psutil.Process(service.process.pid).children(recursive=True)
        with grpc.insecure_channel(service.address) as channel:
            call = embed_pb2_grpc.EmbedServiceStub(channel).Embed.future(embed_pb2.EmbedRequest(texts=texts))
            until_tokens_wait(service)
            service.process.send_signal(signal.SIGTERM)
            assert call.result(timeout=200).count == len(texts)
        assert service.process.wait(30) == 0
    _, alive = psutil.wait_procs(everything, timeout=60)
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
    ended = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=200, env=os.environ)
    assert ended.returncode == 2
    assert ended.stderr.strip().splitlines()[-1].startswith(f"siftline: listen address {service.address}")
