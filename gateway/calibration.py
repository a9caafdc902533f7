"""From a reranker's logit to the probability that a passage is relevant, as fitted for a collection.

Platt, "Probabilistic outputs for support vector machines", 1999; Zadrozny and Elkan, "Transforming classifier scores
into accurate multiclass probability estimates", KDD 2002 (isotonic).
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Platt:
    slope: float
    intercept: float

    def __call__(self, logit: float) -> float:
        return 0.5 * (1.0 + math.tanh(0.5 * (self.slope * logit + self.intercept)))  # a sigmoid that cannot overflow


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Straight lines between points of rising logit, flat outside."""

    logits: Sequence[float]
    probabilities: Sequence[float]

    def __call__(self, logit: float) -> float:
        right = bisect_right(self.logits, logit)
        if right == 0 or right == len(self.logits):
            return self.probabilities[right - 1 if right else 0]
        x, y = self.logits[right - 1 : right + 1], self.probabilities[right - 1 : right + 1]
        return y[0] + (y[1] - y[0]) * (logit - x[0]) / (x[1] - x[0])


@dataclass(frozen=True, slots=True)
class Calibration:
    """Holds for the logits of one reranker only."""

    fingerprint: str
    probability: Platt | Isotonic
