"""How far our numbers may be from the reference's, and how far they are."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# The kit's README says what these catch: all mistakes that it tried, except a wrong LayerNorm epsilon.
VECTORS = {"fp32": 1e-5, "fp16": 1e-3, "bf16": 1e-2}
# A token's weight is a number like a logit, a tenth as large.
WEIGHTS = {"fp32": 1e-5, "fp16": 3e-3, "bf16": 2e-2}
LOGITS = {"fp32": 5e-5, "fp16": 3e-2, "bf16": 0.3}
SPEARMAN = 0.999
_OWN = Path(__file__).with_name("torch_figures.json")
_MOST_TO_RANK = 400  # of a text's tokens there may be thousands


@dataclass(frozen=True)
class Compared:
    rows: int
    difference: float
    tolerance: float
    spearman: float

    def check(self, *, ranks: bool = True) -> None:
        """Within the bounds."""
        assert self.difference <= self.tolerance
        if ranks:
            assert self.spearman >= SPEARMAN


class Figure(NamedTuple):
    """How far torch itself is from a reference in reduced precision."""

    difference: float
    spearman: float


@cache
def figures() -> dict[str, list[float]]:
    """What torch_figures.py measured, by key."""
    found: dict[str, list[float]] = json.loads(_OWN.read_text())
    return found


def key(reference: str, array: str, precision: str) -> str:
    return f"{reference}, {array}, {precision}"


def torchs_own(reference: str, array: str, precision: str) -> Figure | None:
    """None where it was not measured: for fp32, and for windows."""
    found = figures().get(key(reference, array, precision))
    return Figure(*found) if found else None


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


def logits(ours: NDArray[np.float32], reference: NDArray[np.float32], precision: str) -> Compared:
    difference = float(np.abs(ours - reference).max())
    return Compared(len(ours), difference, LOGITS[precision], spearman(ours, reference))


def logit(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = probability.astype(np.float64)
    return np.log(wide / (1 - wide)).astype(np.float32)


def spearman(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Rank correlation; ties get no special treatment, there are none to speak of."""
    ranks = [np.argsort(np.argsort(values)).astype(np.float64) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])
