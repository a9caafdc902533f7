"""A real Prometheus scrapes the running stack: every declared series and every rule is found there."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

import siftline
from tests.deploy.programs import ROOT, program
from tests.running.http import ask
from tests.running.model_service import free_port
from tests.running.stack import RunningStack
from tools import grafana
from tools.declared_metrics import declared

SECONDS = 60.0
JOBS = ("embed", "rerank", "gateway")


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
def prometheus(shared_stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Prometheus with our rules that scrapes the services and the gateway, once a second."""
    executable = program("prometheus", "the Debian package prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    for rules in (ROOT / "deploy/prometheus/rules").glob("*.yaml"):
        (folder / f"rules-{rules.name}").write_text(rules.read_text().replace("interval: 15s", "interval: 1s"))
    targets = {job: urlsplit(shared_stack.endpoints[f"{job}_metrics"]).netloc for job in JOBS}
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules-*.yaml")],
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
    with urllib.request.urlopen(url, timeout=30) as reply:
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


@pytest.mark.parametrize("job", JOBS)
def test_every_declared_series_is_there(prometheus: str, job: str) -> None:
    expected = {series for metric in declared() if job in metric.jobs for series in metric.series}
    _until(lambda: expected <= _found(prometheus, job))


@pytest.mark.parametrize("job", JOBS)
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


def _values(url: str, query: str) -> list[str]:
    found = _ask(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}")["result"]
    return [each["value"][1] for each in found]


def _use(endpoints: Mapping[str, Any]) -> None:
    with siftline.Client(endpoints["gateway"]) as client:
        client.create_collection("panels")
        client.upsert("panels", [siftline.Document("1", "Batches are formed by tokens.")])
        assert client.search("panels", "how are batches formed?").hits
        assert ask(f"{endpoints['gateway_http']}/v1/search", {"collection": "panels", "query": "batches"}).status == 200
        client.drop_collection("panels")


def test_every_panel_of_the_dashboards_shows_something(prometheus: str, shared_stack: RunningStack) -> None:
    panels = {file.stem: grafana.expressions(file.read_text()) for file in (ROOT / "deploy/grafana").glob("*.json")}
    asked = {query: grafana.filled(query, "1m") for queries in panels.values() for query in queries}
    _until(lambda: _values(prometheus, "siftline_ready") == ["1"] * 3)  # a rate needs a value from before
    _use(shared_stack.endpoints)
    _until(lambda: [query for query in asked if not _values(prometheus, asked[query])] == [])

    def numbers() -> bool:  # the overview's; others may divide by what has not happened
        _use(shared_stack.endpoints)  # again: what was asked a minute ago counts no more
        return all(set(_values(prometheus, asked[query])) - {"NaN"} for query in panels["overview"])

    _until(numbers)


def test_everything_is_ready(prometheus: str) -> None:
    _until(lambda: _values(prometheus, "siftline_ready") == ["1"] * 3)
    _until(lambda: _values(prometheus, "siftline_gateway_model_ready") == ["1"] * 2)
