"""Rules, dashboards and autoscalers read what is declared; each alert is tested and has its runbook."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2
from siftline.search.v1 import search_pb2
from tests.deploy.manifests import build, name, of_kind
from tests.deploy.programs import ROOT, program, run
from tests.deploy.promql import complaints, selectors
from tools import grafana

PROMETHEUS = ROOT / "deploy/prometheus"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yaml"))
RUNBOOKS = ROOT / "docs/runbooks"
SEVERITIES = {"page", "ticket"}


def _rules() -> Iterator[dict[str, Any]]:
    for file in RULE_FILES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


RECORDED = {rule["record"] for rule in _rules() if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in _rules() if "alert" in rule}
DASHBOARDS = sorted((ROOT / "deploy/grafana").glob("*.json"))


@pytest.fixture(scope="module")
def promtool() -> str:
    return program("promtool", "the Debian package prometheus")


def test_rules_are_valid(promtool: str) -> None:
    run(promtool, "check", "rules", *RULE_FILES)


def test_alerts_fire_when_they_should_and_only_then(promtool: str) -> None:
    run(promtool, "test", "rules", *sorted((PROMETHEUS / "tests").glob("*.yaml")))


def test_every_alert_is_seen_firing() -> None:
    fired = {
        check["alertname"]
        for file in (PROMETHEUS / "tests").glob("*.yaml")
        for case in yaml.safe_load(file.read_text())["tests"]
        for check in case["alert_rule_test"]
        if check["exp_alerts"]
    }
    assert fired == ALERTS.keys()


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    assert {file.stem for file in RUNBOOKS.glob("*.md")} == ALERTS.keys()
    for alert, rule in ALERTS.items():
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"]["runbook"] == f"docs/runbooks/{alert}.md"
        assert (RUNBOOKS / f"{alert}.md").read_text().startswith(f"# {alert}\n")


def test_runbooks_ask_for_what_is_declared() -> None:
    spans = [span for file in RUNBOOKS.glob("*.md") for span in file.read_text().split("`")[1::2]]
    queries = [span for span in spans if "siftline_" in span or "siftline:" in span]
    assert len(queries) > 20
    assert [said for query in queries for said in complaints(query, RECORDED)] == []


def test_rules_read_what_is_declared() -> None:
    assert [said for rule in _rules() for said in complaints(rule["expr"], RECORDED)] == []


def test_methods_in_rules_exist() -> None:
    methods = {
        f"/{service.full_name}/{method.name}"
        for module in (embed_pb2, rerank_pb2, search_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    named = {
        value
        for rule in _rules()
        for selector in selectors(rule["expr"])
        for label, operator, value in selector.matchers
        if label == "method" and operator == "="
    }
    assert named
    assert named <= methods


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: str(file.stem))
def test_dashboards_read_what_is_declared_and_parse(file: Path, promtool: str, tmp_path: Path) -> None:
    queries = [grafana.filled(each, "1m") for each in grafana.expressions(file.read_text())]
    assert [said for query in queries for said in complaints(query, RECORDED)] == []
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    group = tmp_path / "panels.yaml"
    group.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    run(promtool, "check", "rules", group)


def test_autoscalers_read_what_is_recorded() -> None:
    queries = [
        trigger["metadata"]["query"]
        for scaled in of_kind(build("overlays/prod"), "ScaledObject")
        for trigger in scaled["spec"]["triggers"]
        if trigger["type"] == "prometheus"
    ]
    assert len(queries) == 4
    for query in queries:
        assert [said for said in complaints(query, RECORDED)] == []
        assert {selector.series for selector in selectors(query)} <= RECORDED


def test_monitored_services_are_those_of_the_rules() -> None:
    """job is the value of the label that the ServiceMonitor names."""
    objects = build("overlays/prod")
    monitor = next(of_kind(objects, "ServiceMonitor"))
    label = monitor["spec"]["jobLabel"]
    selected = monitor["spec"]["selector"]["matchExpressions"][0]["values"]
    services = {each["metadata"]["labels"][label]: each for each in of_kind(objects, "Service")}
    for job in selected:
        assert "metrics" in {port["name"] for port in services[job]["spec"]["ports"]}, name(services[job])
    assert set(selected) == {"embed", "rerank", "gateway"}


def test_an_undeclared_series_is_noticed() -> None:
    assert list(complaints('rate(siftline_queue_second_sum{lane="bulk"}[1m])', RECORDED))
    assert list(complaints('siftline_queued_tokens{lane="slow"}', RECORDED))
    assert list(complaints('siftline_queued_tokens{lain="bulk"}', RECORDED))
