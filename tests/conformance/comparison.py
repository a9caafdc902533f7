"""How far our numbers may be from the reference's, and how far they are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The kit's README says what these catch: all mistakes that it tried, except a wrong LayerNorm epsilon.
VECTORS = {"fp32": 1e-5, "bf16": 1e-2}
# A token's weight is a number like a logit, a tenth as large.
WEIGHTS = {"fp32": 1e-5, "bf16": 2e-2}
LOGITS = {"fp32": 5e-5, "bf16": 0.3}
# The kit's pairs have logits as close as 0.01: torch's own bf16 of the same models ranks them at 0.983 to 0.9996.
SPEARMAN = {"fp32": 0.999, "bf16": 0.98}


_MOST_TO_RANK = 400  # of a text's tokens there may be thousands


@dataclass(frozen=True)
class Compared:
    rows: int
    difference: float
    tolerance: float
    spearman: float


def vectors(ours: NDArray[np.float32], reference: NDArray[np.float32], precision: str) -> Compared:
    """Largest difference of any component, for vectors brought to unit length; rank correlation of all cosines."""
    ours_unit, reference_unit = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (ours, reference))
    above = np.triu_indices(min(len(ours), _MOST_TO_RANK), 1)
    correlation = spearman((ours_unit @ ours_unit.T)[above], (reference_unit @ reference_unit.T)[above])
    # Unit vectors are compared as they are: a wrong normalisation must show.
    scale = np.maximum(np.linalg.norm(reference, axis=1, keepdims=True), 1.0)
    return Compared(len(ours), float((np.abs(ours - reference) / scale).max()), VECTORS[precision], correlation)


def weights(ours: NDArray[np.float32], reference: NDArray[np.float32], precision: str) -> Compared:
    """Sparse vectors [n, vocabulary]: largest difference of any weight, relative above 1; ranks of all weights."""
    scale = np.maximum(np.abs(reference), 1.0)
    some = (ours > 0) | (reference > 0)
    difference = float((np.abs(ours - reference) / scale).max())
    return Compared(len(ours), difference, WEIGHTS[precision], spearman(ours[some], reference[some]))


def logits(ours: NDArray[np.float32], reference: NDArray[np.float32], precision: str, terms: int = 1) -> Compared:
    """`terms`: of how many of the model's own outputs each number is the sum or difference."""
    difference = float(np.abs(ours - reference).max())
    tolerance = LOGITS[precision] * (terms if precision != "fp32" else 1)
    return Compared(len(ours), difference, tolerance, spearman(ours, reference))


def logit(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = probability.astype(np.float64)
    return np.log(wide / (1 - wide)).astype(np.float32)


def spearman(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Rank correlation; ties get no special treatment, there are none to speak of."""
    ranks = [np.argsort(np.argsort(values)).astype(np.float64) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])
