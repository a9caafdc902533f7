"""Batches that a service computes before anyone asks it, as its tritonserver counted them."""

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.running import model_service
from tests.running.model_service import RunningService

MODEL = "siftline-minilm-l6-reranker"
INSTANCES = 3
LEAST = 1 + 2 * INSTANCES  # a canary; two batches of each instance


@dataclass(frozen=True)
class Watched:
    service: RunningService
    http: int

    def computed(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/v2/models/{MODEL}/stats", timeout=30) as reply:
            (model,) = json.load(reply)["model_stats"]
        return int(model["inference_stats"]["success"]["count"])

    def kill_a_stub(self) -> None:
        children = psutil.Process(self.service.process.pid).children(recursive=True)
        next(child for child in children if "stub" in child.name()).kill()


@pytest.fixture(name="watched")
def _watched(default_models: Path, tmp_path: Path) -> Iterator[Watched]:
    ports = [model_service.free_port() for _ in range(3)]
    flags = (f"--instances={INSTANCES}", "--batch-tokens=2048", f"--triton-ports={','.join(map(str, ports))}")
    with model_service.running("services.rerank", default_models / MODEL, tmp_path, *flags) as service:
        yield Watched(service, ports[1])


def test_at_the_start_and_after_a_recovery(watched: Watched) -> None:
    assert watched.computed() >= LEAST
    watched.kill_a_stub()
    watched.service.wait_until(False, 60)
    watched.service.wait_until(True, 120)
    assert watched.computed() >= LEAST
