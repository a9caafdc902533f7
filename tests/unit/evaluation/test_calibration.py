"""Calibration on judgements drawn from a known curve."""

from pathlib import Path

import numpy as np
import pytest

from siftline.evaluation import calibration_page, thresholds
from siftline.evaluation.calibrate import Asked, _report
from siftline.evaluation.calibration import Judged, Unfit, apply, fit_map, fit_weight
from siftline.evaluation.dataset import Dataset
from siftline.results import Isotonic, Platt

RANDOM = np.random.default_rng(7)
_BEGIN = RANDOM.bit_generator.state


@pytest.fixture(autouse=True)
def _draws_begin_anew() -> None:
    """In every test, whichever others run."""
    RANDOM.bit_generator.state = _BEGIN


def drawn(count: int, slope: float = 1.5, intercept: float = -1.0) -> list[Judged]:
    """Queries of 20 candidates whose relevance has the probability of Platt's sigmoid."""
    queries = []
    for _ in range(count):
        logits = RANDOM.normal(0, 3, 20)
        relevant = RANDOM.random(20) < apply(Platt(slope, intercept), logits)
        queries.append(Judged(logits, RANDOM.normal(0, 0.1, 20), relevant, bool(relevant.any())))
    return queries


def test_platt_is_found_where_it_holds() -> None:
    fitted = fit_map(drawn(300), seed=0)
    assert fitted.kind == "platt"
    assert isinstance(fitted.map, Platt)
    assert (fitted.map.slope, fitted.map.intercept) == pytest.approx((1.5, -1.0), abs=0.15)


def test_isotonic_is_taken_where_the_curve_is_no_sigmoid() -> None:
    queries = []
    for _ in range(200):
        logits = RANDOM.uniform(-5, 5, 20)
        relevant = RANDOM.random(20) < np.where(logits > 0, 0.5, 0.05)  # a step
        queries.append(Judged(logits, np.zeros(20), relevant, True))
    fitted = fit_map(queries, seed=0)
    assert fitted.kind == "isotonic"
    assert isinstance(fitted.map, Isotonic)
    assert np.all(np.diff(fitted.map.logits) > 0)
    assert np.all(np.diff(fitted.map.probabilities) >= 0)
    assert 0 < fitted.map.probabilities[0] < fitted.map.probabilities[-1] < 1
    assert len(fitted.map.logits) <= 1000
    assert apply(fitted.map, np.array([-3.0, 3.0])) == pytest.approx([0.05, 0.5], abs=0.05)


def test_probabilities_are_calibrated_on_queries_held_out() -> None:
    queries = drawn(300)
    bins = thresholds.reliability(queries, fit_map(queries, seed=0).held_out)
    assert sum(each.count for each in bins) == 6000
    assert thresholds.expected_calibration_error(bins) < 0.03


def test_platt_does_not_overflow() -> None:
    assert apply(Platt(1.0, 0.0), np.array([-2000.0, 0.0, 2000.0])) == pytest.approx([0.0, 0.5, 1.0])


def test_the_weight_that_helps_is_found() -> None:
    """Relevance is in the cosine here, the logits are noise."""
    queries = []
    for _ in range(100):
        cosines = RANDOM.uniform(0, 1, 20)
        queries.append(Judged(RANDOM.normal(0, 1, 20), cosines, cosines == cosines.max(), True))
    weight = fit_weight(queries, seed=0)
    assert weight.value == 30.0
    assert weight.gain > 0.3
    assert weight.by_weight[30.0] > weight.by_weight[0.0]


def test_a_weight_that_does_not_help_is_not_taken() -> None:
    queries = []
    for _ in range(100):
        logits = RANDOM.normal(0, 1, 20)
        queries.append(Judged(logits, RANDOM.uniform(0, 1, 20), logits == logits.max(), True))
    assert fit_weight(queries, seed=0).value == 0.0


def test_thresholds() -> None:
    good = Judged(np.array([3.0, 1.0]), np.zeros(2), np.array([True, False]), True)
    wrong = Judged(np.array([1.0, 2.0]), np.zeros(2), np.array([True, False]), True)
    nothing = Judged(np.array([1.0]), np.zeros(1), np.array([False]), False)
    probabilities = [np.array([0.9, 0.3]), np.array([0.3, 0.6]), np.array([0.4])]
    points = thresholds.operating([good, wrong, nothing], probabilities, 0.0)
    at = {point.floor: point for point in points}
    assert (at[0.0].answered, at[0.0].precision, at[0.0].rejected) == (1.0, pytest.approx(1 / 3), 0.0)
    assert (at[0.5].answered, at[0.5].precision, at[0.5].rejected) == (1.0, 0.5, 1.0)
    assert (at[0.7].answered, at[0.7].precision) == (0.5, 1.0)
    assert at[0.95].precision is None
    assert thresholds.for_precision(points, 0.9) == at[0.61]
    assert thresholds.for_rejection(points, 1.0) == at[0.41]
    assert thresholds.for_precision(thresholds.operating([nothing], probabilities[2:], 0.0), 0.5) is None


def test_what_cannot_be_calibrated_is_said() -> None:
    one_kind = [Judged(np.array([1.0]), np.array([0.5]), np.array([False]), True)] * 20
    with pytest.raises(Unfit, match="relevant and other passages"):
        fit_map(one_kind, seed=0)
    with pytest.raises(Unfit, match="3 queries are too few"):
        fit_weight(drawn(3), seed=0)
    with pytest.raises(Unfit, match="no higher logits"):
        fit_map(drawn(50, slope=-1.5), seed=0)


def test_the_page(tmp_path: Path) -> None:
    queries = drawn(100)
    fitted, weight = fit_map(queries, seed=0), fit_weight(queries, seed=0)
    dataset = Dataset("set", "train", {}, {}, {}, "")
    report = _report(dataset, Asked(), queries, weight, fitted, ("reranker", "f"))
    calibration_page.write(report, tmp_path)
    page = (tmp_path / "calibration.md").read_text()
    assert "Calibration of reranker on set, split train" in page
    assert "For a precision of 0.9: min_probability" in page
    assert (tmp_path / "reliability.svg").is_file()


@pytest.mark.parametrize("relevant", [0.0, 1.0])
def test_an_interval_holds_its_share(relevant: float) -> None:
    """The interval's end is the share itself where that is 0 or 1; computed, it may miss it by a rounding."""
    for count in range(1, 200):
        queries = [Judged(np.zeros(count), np.zeros(count), np.full(count, bool(relevant)), answerable=True)]
        [found] = thresholds.reliability(queries, [np.full(count, 0.5)])
        assert 0 <= found.low <= found.observed == relevant <= found.high <= 1
