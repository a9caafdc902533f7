"""A real Prometheus scrapes running services and a gateway: every declared series and every rule is found there."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.programs import ROOT, program
from tests.running.model_service import RunningService, free_port
from tools.declared_metrics import declared

SECONDS = 60.0


@contextmanager
def _process(log: Path, *command: str) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def gateway_metrics(
    embed_service: RunningService, rerank_service: RunningService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of the metrics of a gateway between the services; it has no Redis, so it is not ready."""
    listen, metrics, nobody = (f"127.0.0.1:{free_port()}" for _ in range(3))
    flags = {
        "listen": listen,
        "metrics": metrics,
        "embed": embed_service.address,
        "rerank": rerank_service.address,
        "cache-url": f"redis://{nobody}/0",
        "index-url": f"redis://{nobody}/0",
    }
    log = tmp_path_factory.mktemp("gateway") / "log"
    with _process(log, sys.executable, "-m", "gateway", *(f"--{key}={value}" for key, value in flags.items())):
        yield metrics


@pytest.fixture(scope="module")
def prometheus(
    embed_service: RunningService,
    rerank_service: RunningService,
    gateway_metrics: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """URL of a Prometheus with our rules that scrapes all three, once a second."""
    executable = program("prometheus", "the Debian package prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    targets = {"embed": embed_service.metrics, "rerank": rerank_service.metrics, "gateway": gateway_metrics}
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "deploy/prometheus/rules/*.yaml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    flags = {
        "config.file": folder / "prometheus.yaml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": address,
    }
    command = (executable, *(f"--{key}={value}" for key, value in flags.items()))
    with _process(folder / "log", *command):
        yield f"http://{address}"


def _ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as reply:
        return json.load(reply)["data"]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            if holds():
                return
        except OSError:
            pass  # it does not listen yet
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _found(url: str, job: str) -> set[str]:
    """Names of the series of a job."""
    return set(_ask(f"{url}/api/v1/label/__name__/values?match[]=%7Bjob%3D%22{job}%22%7D"))


@pytest.mark.parametrize("job", ["embed", "rerank", "gateway"])
def test_every_declared_series_is_there(prometheus: str, job: str) -> None:
    expected = {series for metric in declared() if job in metric.jobs for series in metric.series}
    _until(lambda: expected <= _found(prometheus, job))


@pytest.mark.parametrize("job", ["embed", "rerank", "gateway"])
def test_every_series_that_is_there_is_declared(prometheus: str, job: str) -> None:
    """A dashboard or alert that someone builds on an undeclared one would break unseen."""
    expected = {series for metric in declared() if job in metric.jobs for series in metric.series}
    _until(lambda: "siftline_ready" in _found(prometheus, job))
    assert {series for series in _found(prometheus, job) if series.startswith("siftline_")} <= expected


def test_every_rule_is_healthy(prometheus: str) -> None:
    def healthy() -> bool:
        groups = _ask(f"{prometheus}/api/v1/rules")["groups"]
        return bool(groups) and all(rule["health"] == "ok" for group in groups for rule in group["rules"])

    _until(healthy)


def test_the_gateway_reaches_both_services_and_is_not_ready_without_redis(prometheus: str) -> None:
    def said(query: str) -> list[str]:
        return [each["value"][1] for each in _ask(f"{prometheus}/api/v1/query?query={query}")["result"]]

    _until(lambda: said("siftline_gateway_model_ready") == ["1", "1"])
    assert said("siftline_ready%7Bjob%3D%22gateway%22%7D") == ["0"]
    assert said("siftline_ready%7Bjob%3D%22embed%22%7D") == ["1"]
