"""The metrics that the deployables declare, read from the modules that declare them."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase

import gateway.http.metrics
import gateway.metrics
import serving.batching.metrics
import serving.model_metrics
import serving.rollout.metrics
import serving.telemetry

GATEWAY = ("gateway",)
MODEL_SERVICES = ("embed", "rerank")
# Which processes import the module, under the names that Prometheus knows them by (label job).
DECLARING: tuple[tuple[ModuleType, tuple[str, ...]], ...] = (
    (serving.telemetry, GATEWAY + MODEL_SERVICES),
    (gateway.metrics, GATEWAY),
    (gateway.http.metrics, GATEWAY),
    (serving.batching.metrics, MODEL_SERVICES),
    (serving.model_metrics, MODEL_SERVICES),
    (serving.rollout.metrics, MODEL_SERVICES),
)


@dataclass(frozen=True)
class Declared:
    """One metric. `labels` maps each label to the values registered at start, none where they are known only later."""

    name: str
    kind: str
    help: str
    labels: dict[str, tuple[str, ...]]
    jobs: tuple[str, ...]

    @property
    def series(self) -> tuple[str, ...]:
        """Names under which Prometheus stores it."""
        return tuple(self.name + end for end in ("_bucket", "_sum", "_count")) if self.is_histogram else (self.name,)

    @property
    def is_histogram(self) -> bool:
        return self.kind == "histogram"


def declared() -> list[Declared]:
    """All metrics, in the order of declaration."""
    return [
        _described(metric, jobs)
        for module, jobs in DECLARING
        for metric in vars(module).values()
        if isinstance(metric, MetricWrapperBase) and not _is_child(metric)
    ]


def _is_child(metric: MetricWrapperBase) -> bool:
    """A metric with values for its labels is one series, not a declaration."""
    return bool(metric._labelvalues)


def _described(metric: MetricWrapperBase, jobs: tuple[str, ...]) -> Declared:
    family = next(iter(metric.describe()))
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = {label: tuple(_values(metric, label)) for label in metric._labelnames}
    return Declared(name, family.type, family.documentation, labels, jobs)


def _values(metric: MetricWrapperBase, label: str) -> Iterator[str]:
    seen = dict.fromkeys(sample.labels[label] for family in metric.collect() for sample in family.samples)
    yield from seen
