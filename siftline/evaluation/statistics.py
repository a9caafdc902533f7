"""How sure a mean and a difference of means are, over queries.

Percentile bootstrap; paired randomisation test (Smucker, Allan and Carterette, CIKM 2007); Holm's correction for the
number of comparisons.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from siftline.evaluation.measures import Floats

RESAMPLES = 10_000
LEVEL = 0.95
_CHUNK = 250


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def intervals(values: Floats, seed: int) -> list[Interval]:
    """One of each column's mean. values: [queries, columns]; all columns see the same resamples."""
    draw, count = np.random.default_rng(seed), len(values)
    means = []
    for size in _sizes():
        drawn = draw.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        # How often each query is drawn is all that a resample's mean depends on.
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        means.append(times @ values / count)
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [Interval(*map(float, column)) for column in zip(values.mean(axis=0), low, high, strict=True)]


def p_values(differences: Floats, seed: int) -> Floats:
    """Two-sided p of each column: of a mean as far from 0, were the sign of each query's difference a coin's toss.

    differences: [queries, columns]
    """
    draw = np.random.default_rng(seed)
    observed = np.abs(differences.sum(axis=0)) * (1 - 1e-9) - 1e-12  # sums in another order differ in the last bits
    extreme = np.zeros(differences.shape[1])
    for size in _sizes():
        signs = 2.0 * draw.integers(0, 2, (size, len(differences)), dtype=np.int8) - 1.0
        extreme += (np.abs(signs @ differences) >= observed).sum(axis=0)
    return np.asarray((extreme + 1) / (RESAMPLES + 1))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p by name: below 0.05 are those that hold together at that level."""
    adjusted, highest = {}, 0.0
    for place, (name, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, value * (len(p_values) - place)))
        adjusted[name] = highest
    return adjusted


def _sizes() -> Iterator[int]:
    """Resamples in pieces, so that memory stays at some megabytes for thousands of queries."""
    for at in range(0, RESAMPLES, _CHUNK):
        yield min(_CHUNK, RESAMPLES - at)
