"""What a floor under the probability does to answers: how often one is given, and how often it is right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from siftline.evaluation.calibration import Bools, Judged, order
from siftline.evaluation.measures import Floats

_Z = 1.96
GRID = tuple(round(0.01 * step, 2) for step in range(100))


@dataclass(frozen=True)
class Operating:
    """One floor.

    answered: share of the answerable queries that still get a passage
    precision: of the first passage, over all queries that get one; None when none does
    rejected: share of the queries without an answer that get nothing
    """

    floor: float
    answered: float
    precision: float | None
    rejected: float | None


@dataclass(frozen=True)
class Bin:
    """Candidates of like probability: their number, mean probability, and the share that is relevant.

    low, high: 95 % interval of that share (Wilson, 1927), which few candidates do not say much about
    """

    count: int
    predicted: float
    observed: float
    low: float
    high: float


def operating(queries: Sequence[Judged], probabilities: Sequence[Floats], weight: float) -> list[Operating]:
    """One for each floor of GRID."""
    ordered = [order(query, weight) for query in queries]
    ranked = [
        (query.answerable, query.relevant[places], probability[places])
        for query, places, probability in zip(queries, ordered, probabilities, strict=True)
    ]
    return [_at(floor, ranked) for floor in GRID]


def for_precision(points: Sequence[Operating], wanted: float) -> Operating | None:
    """The lowest floor with at least this precision, None when none has it."""
    return next((each for each in points if each.precision is not None and each.precision >= wanted), None)


def for_rejection(points: Sequence[Operating], wanted: float) -> Operating | None:
    """The lowest floor that rejects at least this share of the queries without an answer, None when none does."""
    return next((each for each in points if each.rejected is not None and each.rejected >= wanted), None)


def reliability(queries: Sequence[Judged], probabilities: Sequence[Floats], bins: int = 10) -> list[Bin]:
    """Bins of equal width that have candidates."""
    predicted = np.concatenate(list(probabilities))
    relevant = np.concatenate([query.relevant for query in queries])
    place = np.minimum((predicted * bins).astype(int), bins - 1)
    filled = [place == each for each in range(bins) if (place == each).any()]
    return [_bin(predicted[own], relevant[own]) for own in filled]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance of predicted and observed, over candidates (Naeini, Cooper and Hauskrecht, AAAI 2015)."""
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.predicted - each.observed) for each in bins) / total


def _bin(predicted: Floats, relevant: Bools) -> Bin:
    count, share = len(relevant), float(relevant.mean())
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z * (share * (1 - share) / count + _Z**2 / (4 * count**2)) ** 0.5 / (1 + _Z**2 / count)
    low, high = min(share, middle - half), max(share, middle + half)  # rounding may put an end beyond a share of 0 or 1
    return Bin(count, float(predicted.mean()), share, max(0.0, low), min(1.0, high))


def _at(floor: float, ranked: Sequence[tuple[bool, Bools, Floats]]) -> Operating:
    firsts = [(answerable, _first(relevant, probability, floor)) for answerable, relevant, probability in ranked]
    given = [right for _, right in firsts if right is not None]
    answerable = [right is not None for answer, right in firsts if answer]
    unanswerable = [right is None for answer, right in firsts if not answer]
    return Operating(
        floor,
        float(np.mean(answerable)) if answerable else 0.0,
        float(np.mean(given)) if given else None,
        float(np.mean(unanswerable)) if unanswerable else None,
    )


def _first(relevant: Bools, probability: Floats, floor: float) -> bool | None:
    """Whether the first passage above the floor is relevant; None without one."""
    above = np.flatnonzero(probability >= floor)
    return bool(relevant[above[0]]) if len(above) else None
