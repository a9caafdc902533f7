"""Fits what maps logits to probabilities, and the weight of recall in the final order, to judged candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from siftline.evaluation.files import BadDataset
from siftline.evaluation.measures import Floats
from siftline.results import Isotonic, Platt

FOLDS = 5
CUTOFF = 10
WEIGHTS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)
MAX_POINTS = 1000

Kind = Literal["platt", "isotonic"]
Bools = npt.NDArray[np.bool_]


class Unfit(BadDataset):
    """The judged candidates do not determine a calibration; the message says why."""


@dataclass(frozen=True)
class Judged:
    """One query's candidates in recall order: [n] each. A query without an answer in the corpus has no relevant one."""

    logits: Floats
    cosines: Floats
    relevant: Bools
    answerable: bool


@dataclass(frozen=True)
class Weight:
    """The weight taken, and MRR@10 of each that was tried.

    gain: in MRR@10 over the weight 0, on queries that the weight was not chosen on
    """

    value: float
    gain: float
    by_weight: Mapping[float, float]


@dataclass(frozen=True)
class Fitted:
    """The map taken, the log loss of either kind on queries it was not fitted to, and what it gave those queries.

    held_out: probabilities of all candidates of all queries, [n of the query] each
    """

    kind: Kind
    map: Platt | Isotonic
    log_loss: Mapping[Kind, float]
    held_out: Sequence[Floats]


def fit_weight(queries: Sequence[Judged], seed: int) -> Weight:
    """The weight of best MRR@10; 0 when choosing one does not help on queries that it was not chosen on."""
    reciprocal = np.array([[_reciprocal_rank(query, weight) for weight in WEIGHTS] for query in queries])
    chosen = np.empty(len(queries))
    for held_out in _folds(len(queries), seed):
        best = int(np.delete(reciprocal, held_out, axis=0).mean(axis=0).argmax())
        chosen[held_out] = reciprocal[held_out, best]
    gain = float(chosen.mean() - reciprocal[:, 0].mean())
    means = reciprocal.mean(axis=0)
    value = WEIGHTS[int(means.argmax())] if gain > 0 else 0.0
    return Weight(value, gain, dict(zip(WEIGHTS, map(float, means), strict=True)))


def fit_map(queries: Sequence[Judged], seed: int) -> Fitted:
    """Platt's sigmoid or an isotonic curve, whichever has the lower log loss on queries it was not fitted to."""
    relevant = np.concatenate([query.relevant for query in queries])
    if relevant.all() or not relevant.any():
        raise Unfit("no calibration without relevant and other passages among what recall finds")
    held_out = {kind: _held_out(queries, kind, seed) for kind in ("platt", "isotonic")}
    losses: dict[Kind, float] = {
        "platt": _log_loss(np.concatenate(held_out["platt"]), relevant),
        "isotonic": _log_loss(np.concatenate(held_out["isotonic"]), relevant),
    }
    kind: Kind = "platt" if losses["platt"] <= losses["isotonic"] else "isotonic"
    return Fitted(kind, _fit(kind, queries), losses, held_out[kind])


def apply(curve: Platt | Isotonic, logits: Floats) -> Floats:
    """Probabilities, as the gateway computes them."""
    if isinstance(curve, Platt):
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * (curve.slope * logits + curve.intercept))))
    return np.interp(logits, curve.logits, curve.probabilities)


def order(query: Judged, weight: float) -> npt.NDArray[np.intp]:
    """Places of the candidates in the final order; ties as recall has them."""
    return np.argsort(-(query.logits + weight * query.cosines), kind="stable")


def _reciprocal_rank(query: Judged, weight: float) -> float:
    places = np.flatnonzero(query.relevant[order(query, weight)][:CUTOFF])
    return 1.0 / (1.0 + float(places[0])) if len(places) else 0.0


def _folds(count: int, seed: int) -> list[npt.NDArray[np.intp]]:
    if count < 2 * FOLDS:
        raise Unfit(f"{count} queries are too few; {2 * FOLDS} are the least")
    return np.array_split(np.random.default_rng(seed).permutation(count), FOLDS)


def _held_out(queries: Sequence[Judged], kind: Kind, seed: int) -> list[Floats]:
    """Probabilities of each query's candidates, by a map fitted to the queries of the other folds."""
    found: dict[int, Floats] = {}
    for fold in _folds(len(queries), seed):
        inside = set(fold.tolist())
        fitted = _fit(kind, [query for place, query in enumerate(queries) if place not in inside])
        found |= {place: apply(fitted, queries[place].logits) for place in inside}
    return [found[place] for place in range(len(queries))]


def _fit(kind: Kind, queries: Sequence[Judged]) -> Platt | Isotonic:
    logits = np.concatenate([query.logits for query in queries])
    relevant = np.concatenate([query.relevant for query in queries])
    return _platt(logits, relevant) if kind == "platt" else _isotonic(logits, relevant)


def _platt(logits: Floats, relevant: Bools) -> Platt:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf).fit(logits[:, None], relevant)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        raise Unfit("relevant passages have no higher logits than others here: this reranker cannot be calibrated")
    return Platt(slope, intercept)


def _isotonic(logits: Floats, relevant: Bools) -> Isotonic:
    from sklearn.isotonic import IsotonicRegression

    margin = 1.0 / (len(logits) + 2.0)  # never quite sure: a probability of 0 or 1 would be an infinite loss if wrong
    model = IsotonicRegression(y_min=margin, y_max=1.0 - margin, out_of_bounds="clip").fit(logits, relevant)
    kept = np.unique(np.linspace(0, len(model.X_thresholds_) - 1, MAX_POINTS).round().astype(int))
    return Isotonic(tuple(model.X_thresholds_[kept].tolist()), tuple(model.y_thresholds_[kept].tolist()))


def _log_loss(probabilities: Floats, relevant: Bools) -> float:
    sure = np.clip(np.where(relevant, probabilities, 1.0 - probabilities), 1e-12, 1.0)
    return float(-np.log(sure).mean())
