"""What a method makes of one deep search; corpora as filters; the page."""

import json
from pathlib import Path

import pytest

from siftline.evaluation import publishing
from siftline.evaluation.collection import Corpus
from siftline.evaluation.comparison import compare, measure
from siftline.evaluation.latency import Latency
from siftline.evaluation.methods import Candidate, Method, ranking
from siftline.evaluation.report import Plan, Report, Row

FOUND = [Candidate("a", 1, 0.5), Candidate("b", 2, 2.0), Candidate("c", 3, 3.0), Candidate("d", 4, 2.0)]
CORPUS = Corpus("things", "f", {"a": 0, "b": 1, "c": 2, "d": 3})


def test_shallower_methods_are_parts_of_a_deep_search() -> None:
    assert ranking(FOUND, 0) == ["a", "b", "c", "d"]
    assert ranking(FOUND, 2) == ["b", "a"]
    assert ranking(FOUND, 4) == ["c", "b", "d", "a"]


def test_names() -> None:
    assert Method("bm25").name == "bm25"
    assert Method("hybrid", 20).name == "hybrid + rerank 20"


def test_a_plan_measures_what_its_depth_reaches() -> None:
    plan = Plan(recalls=("vector",), depths=(20, 10), cutoffs=(1, 10, 100))
    assert plan.depth == 20
    assert plan.methods == [Method("vector"), Method("vector", 10), Method("vector", 20)]
    assert plan.measured_cutoffs == [1, 10, 20]
    assert Plan(depths=(), cutoffs=(1, 100)).depth == 100


@pytest.mark.parametrize(
    ("size", "relevant", "expected"),
    [
        (None, {"a": 1}, ""),
        (4, {"a": 1}, ""),
        (2, {"a": 1, "b": 1}, "_rank < 2"),
        (2, {"a": 1, "d": 1, "c": 1}, "_rank < 2 OR _rank IN (2, 3)"),
        (2, {"unknown": 1}, "_rank < 2"),
    ],
)
def test_a_smaller_corpus_keeps_the_answers(size: int | None, relevant: dict[str, int], expected: str) -> None:
    assert CORPUS.subset(size, relevant) == expected


def test_answers_are_hidden() -> None:
    assert CORPUS.without({"d": 1, "b": 2}) == "NOT _rank IN (1, 3)"
    assert CORPUS.without({"unknown": 1}) == ""


def test_a_report_is_written_whole(tmp_path: Path) -> None:
    plan = Plan(recalls=("vector",), depths=(10,), sizes=(2,))
    report = Report("set", "test", 3, 4, plan, 0.0, {})
    relevant = {query: {"a": 1} for query in "123"}
    rankings = {plan.methods[0]: {q: ["b", "a"] for q in relevant}, plan.methods[1]: {q: ["a"] for q in relevant}}
    compared = compare(measure(rankings, relevant, plan.measured_cutoffs), 0)
    timing = Latency(5, 10.0, 20.0, 1.0, 2.0, 7.0)
    for size in (2, 4):
        for method, measures in compared.items():
            report.rows.append(Row(method, size, measures, {"hit_rate": 100.0, "mrr": 50.0}, timing))
    publishing.write(report, tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "| vector + rerank 10 | 1.000 [1.000, 1.000] | +0.500 [+0.500, +0.500] |" in page
    assert "| vector | 100.00 | 50.00 |" in page
    assert "look at 10 passages to fill 5 places" in page
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["rows"][0]["method"] == {"recall": "vector", "depth": 0}
    for name in ("quality-by-size", "quality-by-latency"):
        assert f"({name}.png)" in page
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (tmp_path / f"{name}.svg").read_bytes()


def test_the_same_report_gives_the_same_svg(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        test_a_report_is_written_whole(folder)
    first, second = ((tmp_path / name / "quality-by-size.svg").read_bytes() for name in ("one", "two"))
    assert first == second
