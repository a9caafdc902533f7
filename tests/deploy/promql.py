"""The little of PromQL that tests need to see: which series an expression reads, and by which labels."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.declared_metrics import declared

SERIES = {series: metric for metric in declared() for series in metric.series}
# Labels that Prometheus adds, or that a histogram has.
GIVEN = {"job", "instance", "namespace", "le"}

_READ = re.compile(r"\b(siftline[\w:]*|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


@dataclass(frozen=True)
class Selector:
    series: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expression: str) -> Iterator[Selector]:
    for found in _READ.finditer(expression):
        yield Selector(found[1], tuple(_MATCHER.findall(found[2] or "")))


def complaints(expression: str, recorded: set[str]) -> Iterator[str]:
    """What an expression reads that nothing declares or records."""
    for selector in selectors(expression):
        metric = SERIES.get(selector.series)
        if metric is None:
            if selector.series not in recorded and selector.series != "up":
                yield f"{selector.series} is neither declared nor recorded"
            continue
        for label, operator, value in selector.matchers:
            if label not in metric.labels.keys() | GIVEN:
                yield f"{selector.series} has no label {label}"
            known = metric.labels.get(label, ())
            wanted = set(value.split("|")) if "~" in operator else {value}
            if known and not wanted <= set(known):
                yield f"{selector.series}: {label} is never {value}"
