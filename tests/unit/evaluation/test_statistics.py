"""Intervals and p values, on data whose answers are known."""

import numpy as np
import pytest

from siftline.evaluation.comparison import compare, gains, measure
from siftline.evaluation.methods import Method
from siftline.evaluation.statistics import Interval, holm, intervals, p_values


def test_an_interval_is_about_as_wide_as_theory_has_it() -> None:
    values = np.random.default_rng(5).normal(size=(400, 1))
    [found] = intervals(values, seed=0)
    width = 1.96 * values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert (found.high - found.mean, found.mean - found.low) == pytest.approx((width, width), rel=0.1)


def test_columns_have_intervals_of_their_own() -> None:
    constant, varied = intervals(np.column_stack([np.full(10, 0.5), np.arange(10.0)]), seed=0)
    assert (constant.low, constant.high) == pytest.approx((0.5, 0.5))
    assert varied.low < varied.mean < varied.high


def test_the_same_seed_gives_the_same() -> None:
    values = np.random.default_rng(2).normal(size=(20, 1))
    assert intervals(values, 3) == intervals(values, 3) != intervals(values, 4)


def test_no_difference_is_never_significant() -> None:
    assert p_values(np.zeros((50, 1)), seed=0)[0] == 1.0


def test_p_of_few_queries_is_what_the_coin_gives() -> None:
    """Of five differences of one sign, 2 of 32 sign patterns are as far from 0."""
    assert p_values(np.ones((5, 1)), seed=0)[0] == pytest.approx(2 / 32, abs=0.01)


def test_a_difference_everywhere_is_significant_and_noise_is_not() -> None:
    noise = np.random.default_rng(1).normal(size=200)
    sure, unsure = p_values(np.column_stack([noise + 1, noise - noise.mean()]), seed=0)
    assert sure < 0.001
    assert unsure > 0.9


def test_holm() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_methods_are_compared_with_the_first() -> None:
    queries = [str(number) for number in range(30)]
    relevant = {query: {"a": 1} for query in queries}
    base, better = Method("vector"), Method("vector", 10)
    rankings = {base: {query: ["x", "a"] for query in queries}, better: {query: ["a"] for query in queries}}
    compared = compare(measure(rankings, relevant, [10]), seed=0)
    assert compared[base]["MRR@10"].gain is None
    gained = compared[better]["MRR@10"]
    assert gained.gain is not None
    assert (gained.mean, gained.gain.mean, gained.gain.low) == pytest.approx((1.0, 0.5, 0.5))
    assert gained.p is not None
    assert gained.p < 0.001


def test_methods_are_set_against_one_another() -> None:
    queries = [str(number) for number in range(30)]
    relevant = {query: {"a": 1} for query in queries}
    first, other, both = Method("vector"), Method("hybrid"), Method("hybrid", 10)
    plain = {query: ["x", "a"] for query in queries}
    values = measure({first: plain, other: plain, both: {query: ["a"] for query in queries}}, relevant, [10])
    gained = gains(values, {both: other, other: first}, seed=0)
    assert gained[both]["MRR@10"] == Interval(0.5, 0.5, 0.5)
    assert gained[other]["MRR@10"] == Interval(0.0, 0.0, 0.0)
    assert gains(values, {}, seed=0) == {}
