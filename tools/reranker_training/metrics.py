"""MRR@10, the paired difference of two rankings with a bootstrap interval, and fusion of the two stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CUTOFF = 10
RESAMPLES = 10_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """One query's candidates in recall order.

    Attributes:
        cosine: Recall score of each, float [candidates].
        first: Logit of the first window of each, float [candidates].
        best: Largest logit over the windows of each, float [candidates].
        relevant: Whether each is relevant, bool [candidates].
    """

    cosine: Floats
    first: Floats
    best: Floats
    relevant: NDArray[np.bool_]


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def reciprocal_rank(scores: Floats, relevant: NDArray[np.bool_]) -> float:
    """1 / rank of the first relevant candidate, 0 beyond rank 10; ties keep the recall order."""
    order = np.argsort(-scores, kind="stable")[:CUTOFF]
    hits = np.flatnonzero(relevant[order])
    return 1.0 / (1.0 + float(hits[0])) if len(hits) else 0.0


def fused(logits: Floats, cosine: Floats, weight: float) -> Floats:
    """Logit plus ``weight`` times the recall score."""
    return logits + weight * cosine


def paired_difference(after: Floats, before: Floats, seed: int) -> Difference:
    """Bootstrap over queries (10,000 resamples, percentile interval)."""
    gains = after - before
    draw = np.random.default_rng(seed)
    means = np.array([gains[draw.integers(0, len(gains), len(gains))].mean() for _ in range(RESAMPLES)])
    low, high = np.percentile(means, [2.5, 97.5])
    return Difference(float(gains.mean()), float(low), float(high))
