"""Measures against values worked out by hand."""

import numpy as np
import pytest

from siftline.evaluation.measures import hit_rate, llama_index, per_query, reciprocal_rank

RELEVANT = {"first": {"a": 1}, "second": {"b": 2, "c": 1}, "third": {"z": 1}, "fourth": {"y": 1}}
RANKINGS = {"first": ["x", "a"], "second": ["c", "x", "b"], "third": ["a", "b", "c"], "fourth": []}


def test_per_query() -> None:
    measured = per_query(RANKINGS, RELEVANT, [1, 3])
    graded = (1 + 2 / 2) / (2 + 1 / np.log2(3))
    expected = {
        "hit@1": [0, 1, 0, 0],
        "hit@3": [1, 1, 0, 0],
        "MRR@1": [0, 1, 0, 0],
        "MRR@3": [0.5, 1, 0, 0],
        "MAP@1": [0, 0.5, 0, 0],
        "MAP@3": [0.5, (1 + 2 / 3) / 2, 0, 0],
        "nDCG@1": [0, 0.5, 0, 0],
        "nDCG@3": [1 / np.log2(3), graded, 0, 0],
        "recall@1": [0, 0.5, 0, 0],
        "recall@3": [1, 1, 0, 0],
    }
    assert measured.keys() == expected.keys()
    for name, values in expected.items():
        assert measured[name] == pytest.approx(values), name


def test_places_count_and_not_the_names() -> None:
    """trec_eval breaks ties of score by id; a ranking of ours has none."""
    for ranking in (["a", "b"], ["b", "a"]):
        measured = per_query({"q": ranking}, {"q": {"a": 1}}, [1])
        assert measured["hit@1"][0] == float(ranking[0] == "a")


def test_mean_reciprocal_rank_is_cut_off() -> None:
    ranking = [f"x{place}" for place in range(10)] + ["a"]
    measured = per_query({"q": ranking}, {"q": {"a": 1}}, [10, 20])
    assert measured["MRR@10"][0] == 0
    assert measured["MRR@20"][0] == pytest.approx(1 / 11)


def test_as_llama_index_has_them() -> None:
    assert (hit_rate(["x", "a"], {"a": 1}), hit_rate(["x"], {"a": 1}), hit_rate([], {"a": 1})) == (1.0, 0.0, 0.0)
    assert (reciprocal_rank(["x", "a", "b"], {"b": 1, "a": 1}), reciprocal_rank(["x"], {"a": 1})) == (0.5, 0.0)


def test_only_five_count_for_bcembedding() -> None:
    rankings = {"q": ["x1", "x2", "x3", "x4", "x5", "a"], "r": ["x", "b"]}
    assert llama_index(rankings, {"q": {"a": 1}, "r": {"b": 1}}) == {"hit_rate": 50.0, "mrr": 25.0}
