"""Methods beside each other: every measure with its interval, and its difference to the first method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from siftline.evaluation.measures import Floats, Rankings, Relevant, per_query
from siftline.evaluation.methods import Method
from siftline.evaluation.statistics import Interval, holm, intervals, p_values


@dataclass(frozen=True)
class Measured:
    """gain: over the first method, paired by query; p: of that gain, adjusted for the number of methods.

    Both are None for the first method itself.
    """

    mean: float
    low: float
    high: float
    gain: Interval | None = None
    p: float | None = None


Values = Mapping[Method, Mapping[str, Floats]]


def measure(rankings: Mapping[Method, Rankings], relevant: Relevant, cutoffs: Sequence[int]) -> Values:
    """Every measure of every method, by query. All rankings are of the same queries, in the same order."""
    return {method: per_query(ranking, relevant, cutoffs) for method, ranking in rankings.items()}


def compare(values: Values, seed: int) -> dict[Method, dict[str, Measured]]:
    """Every measure of every method, beside the first one."""
    first, *others = values
    absolute = {method: _intervals(measured, seed) for method, measured in values.items()}
    gains = {method: {name: values[method][name] - values[first][name] for name in values[first]} for method in others}
    gained = {method: _intervals(gain, seed) for method, gain in gains.items()}
    adjusted = _adjusted({method: _p_values(gain, seed) for method, gain in gains.items()})
    return {
        method: {
            name: Measured(each.mean, each.low, each.high, gained[method][name], adjusted[method][name])
            if method in gained
            else Measured(each.mean, each.low, each.high)
            for name, each in measured.items()
        }
        for method, measured in absolute.items()
    }


def gains(values: Values, over: Mapping[Method, Method], seed: int) -> dict[Method, dict[str, Interval]]:
    """By how much a method is better than the one it is set against, in every measure, paired by query."""
    differences = {
        (method, name): each - values[base][name]
        for method, base in over.items()
        for name, each in values[method].items()
    }
    found: dict[Method, dict[str, Interval]] = {method: {} for method in over}
    if differences:
        drawn = intervals(np.column_stack(list(differences.values())), seed)
        for (method, name), interval in zip(differences, drawn, strict=True):
            found[method][name] = interval
    return found


def _intervals(columns: Mapping[str, Floats], seed: int) -> dict[str, Interval]:
    return dict(zip(columns, intervals(np.column_stack(list(columns.values())), seed), strict=True))


def _p_values(columns: Mapping[str, Floats], seed: int) -> dict[str, float]:
    return dict(zip(columns, p_values(np.column_stack(list(columns.values())), seed).tolist(), strict=True))


def _adjusted(p_of: Mapping[Method, Mapping[str, float]]) -> dict[Method, dict[str, float]]:
    """Holm's correction over the methods, for each measure by itself."""
    adjusted: dict[Method, dict[str, float]] = {method: {} for method in p_of}
    for name in next(iter(p_of.values()), {}):
        by_method = holm({method.name: p_of[method][name] for method in p_of})
        for method in p_of:
            adjusted[method][name] = by_method[method.name]
    return adjusted
