"""Grafana dashboards made from the declared metrics: one panel per metric, and an overview of the recorded ratios."""

import json
from collections.abc import Iterable, Sequence

from tools.declared_metrics import GATEWAY, MODEL_SERVICES, Declared

Json = dict[str, object]

UNITS = {"seconds": "s", "bytes": "bytes"}
QUANTILES = (0.5, 0.95, 0.99)
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS, WIDTH, HEIGHT = 3, 8, 7

# What someone on call looks at first: title, unit, expression, legend.
OVERVIEW = (
    (
        "Calls",
        "reqps",
        "sum by (job, code) (rate(siftline_grpc_requests_total{SELECT}[$__rate_interval]))",
        "{{job}} {{code}}",
    ),
    ("Calls that fail", "percentunit", "siftline:errors:ratio_rate5m{SELECT}", "{{job}}"),
    ("Searches slower than a second", "percentunit", "siftline:search_slow:ratio_rate5m{SELECT}", "{{job}}"),
    ("Ready", "short", "siftline_ready{SELECT}", "{{job}} {{instance}}"),
    ("Wait for the engine, p95", "s", "siftline:queue_seconds:p95_5m{SELECT}", "{{job}} {{lane}}"),
    (
        "Wait for the engine, mean of each replica",
        "s",
        "siftline:queue_seconds:mean2m{SELECT}",
        "{{instance}} {{lane}}",
    ),
    ("Degraded searches", "percentunit", "siftline:search_degraded:ratio_rate5m{SELECT}", "{{job}}"),
    ("Texts found in the cache", "percentunit", "siftline:cache_hits:ratio_rate5m{SELECT}", "{{job}}"),
    ("Tokens that are padding", "percentunit", "siftline:padding:ratio_rate5m{SELECT}", "{{job}}"),
)


def dashboards(metrics: Sequence[Declared]) -> dict[str, str]:
    """File name to content."""
    made = {
        "overview": ("siftline: overview", [*GATEWAY, *MODEL_SERVICES], [_panel(*facts) for facts in OVERVIEW]),
        "gateway": ("siftline: gateway", GATEWAY, _panels(metrics, GATEWAY)),
        "model-services": ("siftline: embed and rerank", MODEL_SERVICES, _panels(metrics, MODEL_SERVICES)),
    }
    return {
        f"{name}.json": json.dumps(_dashboard(name, title, jobs, panels), indent=1) + "\n"
        for name, (title, jobs, panels) in made.items()
    }


def expressions(dashboard: str) -> list[str]:
    """The queries of a dashboard's JSON."""
    return [target["expr"] for panel in json.loads(dashboard)["panels"] for target in panel["targets"]]


def filled(query: str, interval: str) -> str:
    """A query as Grafana sends it with every variable at "All"."""
    query = query.replace("$__rate_interval", interval)
    return query.replace('=~"$namespace"', '=~".*"').replace('=~"$job"', '=~".*"')


def _panels(metrics: Iterable[Declared], jobs: Sequence[str]) -> list[Json]:
    return [_of(metric) for metric in metrics if set(jobs) <= set(metric.jobs)]


def _of(metric: Declared) -> Json:
    legend = " ".join(f"{{{{{label}}}}}" for label in ("job", *metric.labels))
    if not metric.is_histogram:
        return _panel(metric.name, _unit(metric), _expression(metric), legend, description=metric.help)
    by = ", ".join(("job", *metric.labels, "le"))
    buckets = f"sum by ({by}) (rate({metric.name}_bucket{{SELECT}}[$__rate_interval]))"
    queries = [(f"histogram_quantile({q}, {buckets})", f"{legend} p{q * 100:.0f}") for q in QUANTILES]
    return _panel(metric.name, _unit(metric), *queries[0], *queries[1:], description=metric.help)


def _expression(metric: Declared) -> str:
    by = ", ".join(("job", *metric.labels))
    if metric.kind == "counter":
        return f"sum by ({by}) (rate({metric.name}{{SELECT}}[$__rate_interval]))"
    if metric.name.endswith("_timestamp_seconds"):
        return f"min by ({by}) ({metric.name}{{SELECT}}) - time()"
    return f"sum by ({by}) ({metric.name}{{SELECT}})"


def _unit(metric: Declared) -> str:
    if metric.kind == "counter":
        return "Bps" if "_bytes" in metric.name else "cps"
    return next((unit for word, unit in UNITS.items() if metric.name.endswith(word)), "short")


def _panel(title: str, unit: str, query: str, legend: str, *more: tuple[str, str], description: str = "") -> Json:
    targets = [
        {"refId": chr(ord("A") + number), "expr": _selected(expr), "legendFormat": name, "datasource": SOURCE}
        for number, (expr, name) in enumerate([(query, legend), *more])
    ]
    return {
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def _selected(expression: str) -> str:
    return expression.replace("{SELECT}", '{namespace=~"$namespace", job=~"$job"}')


def _dashboard(name: str, title: str, jobs: Sequence[str], panels: Sequence[Json]) -> Json:
    return {
        "uid": f"siftline-{name}",
        "title": title,
        "tags": ["siftline"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_datasource(), _namespaces(), _jobs(jobs)]},
        "panels": [{"id": n + 1, "gridPos": _place(n)} | panel for n, panel in enumerate(panels)],
    }


def _place(number: int) -> dict[str, int]:
    row, column = divmod(number, COLUMNS)
    return {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT}


def _datasource() -> Json:
    return {"name": "datasource", "type": "datasource", "query": "prometheus"}


def _namespaces() -> Json:
    """Outside Kubernetes the label is missing, which `.*` matches too."""
    return {
        "name": "namespace",
        "type": "query",
        "datasource": SOURCE,
        "query": "label_values(siftline_ready, namespace)",
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
    }


def _jobs(jobs: Sequence[str]) -> Json:
    return {
        "name": "job",
        "type": "custom",
        "query": ",".join(jobs),
        "options": [{"text": job, "value": job, "selected": False} for job in jobs],
        "includeAll": True,
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }
