"""Writes what follows from the declared metrics and the Prometheus rules, or says with --check what is out of step.

docs/metrics.md, the dashboards in deploy/grafana, and the rules as the object that the Prometheus operator reads.
Run it as `python -m tools.document_metrics`.
"""

import argparse
import sys
from pathlib import Path

import yaml

from tools import grafana
from tools.declared_metrics import Declared, declared

ROOT = Path(__file__).parents[1]
RULES = ROOT / "deploy/prometheus/rules"
PROMETHEUS_RULE = ROOT / "deploy/k8s/components/monitoring/prometheusrule.yaml"
COMMAND = "python -m tools.document_metrics"

PAGE = """# Metrics

Made by `{command}` from the declarations; a test holds it in step. Every process shows its
metrics at `/metrics` on the address of its setting `metrics`. All series are registered at start, so a rate is zero and
not missing; those with a label whose values are known only later (codes other than OK, the model) appear when they are.

`job` is the label that the rules in `deploy/prometheus` and the dashboards in `deploy/grafana` select by: embed, rerank
or gateway. Times are in seconds, sizes in bytes. With several workers a process shows their sum.
"""

GROUP = "\n## {title}\n\n| metric | type | labels | what |\n|---|---|---|---|\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is out of step")
    check = parser.parse_args().check
    stale = [file for file, text in generated().items() if not file.exists() or file.read_text() != text]
    for file in stale:
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(generated()[file])
        print(f"{'out of step' if check else 'wrote'}: {file.relative_to(ROOT)}", file=sys.stderr)
    sys.exit(bool(stale) and check)


def generated() -> dict[Path, str]:
    """Every generated file and its text."""
    metrics = declared()
    made = {ROOT / "deploy/grafana" / name: text for name, text in grafana.dashboards(metrics).items()}
    return made | {ROOT / "docs/metrics.md": page(metrics), PROMETHEUS_RULE: prometheus_rule()}


def page(metrics: list[Declared]) -> str:
    text = PAGE.format(command=COMMAND)
    for jobs in dict.fromkeys(metric.jobs for metric in metrics):
        text += GROUP.format(title=", ".join(jobs))
        text += "".join(_row(metric) for metric in metrics if metric.jobs == jobs)
    return text


def _row(metric: Declared) -> str:
    labels = "; ".join(f"`{name}`" + _listed(values) for name, values in metric.labels.items())
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |\n"


def _listed(values: tuple[str, ...]) -> str:
    return f": {', '.join(values)}" if values else ""


def prometheus_rule() -> str:
    """The files in deploy/prometheus/rules as one PrometheusRule."""
    groups = [group for file in sorted(RULES.glob("*.yaml")) for group in yaml.safe_load(file.read_text())["groups"]]
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "siftline"},
        "spec": {"groups": groups},
    }
    return f"# Made by `{COMMAND}` from deploy/prometheus/rules.\n" + yaml.safe_dump(
        manifest, sort_keys=False, width=120
    )


if __name__ == "__main__":
    main()
