"""`siftline eval` and `siftline calibrate` as a client of a real gateway and index, with doubles of the models."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from serving.errors import Overloaded
from siftline.client import AsyncClient
from siftline.errors import SiftlineError
from siftline.evaluation import searching
from siftline.evaluation.calibrate import Asked, calibrate
from siftline.evaluation.dataset import Dataset, read
from siftline.evaluation.evaluate import Plan, Report, evaluate

SUBJECTS = [f"subject{number}" for number in range(24)]
PLAN = Plan(depths=(5, 10), sizes=(12,), cutoffs=(1, 5, 10), latency_searches=2, concurrency=2)


@pytest.fixture
def judged(tmp_path: Path) -> Dataset:
    """Every subject has one passage that a question about it shares two words with, among passages on all of them."""
    (tmp_path / "qrels").mkdir()
    corpus = [{"_id": f"d{at}", "title": name, "text": f"facts about {name}"} for at, name in enumerate(SUBJECTS)]
    corpus += [{"_id": f"x{at}", "text": f"facts on number {at}"} for at in range(12)]
    queries = [{"_id": f"q{at}", "text": f"what is about {name}"} for at, name in enumerate(SUBJECTS)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    rows = ["query-id\tcorpus-id\tscore", *(f"q{at}\td{at}\t1" for at in range(len(SUBJECTS)))]
    (tmp_path / "qrels" / "test.tsv").write_text("\n".join(rows))
    return read(tmp_path)


@contextmanager
def no_bars(title: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda done: None


async def evaluated(gateway: Any, judged: Dataset, trace: io.StringIO | None = None) -> Report:
    async with AsyncClient(gateway.target) as client:
        return await evaluate(client, judged, PLAN, no_bars, trace)


async def test_every_method_is_measured_at_every_size(gateway: Any, judged: Dataset) -> None:
    report = await evaluated(gateway, judged)
    assert [(row.method.name, row.passages) for row in report.rows] == [
        (method.name, size) for size in (12, 36) for method in PLAN.methods
    ]
    for row in report.rows:
        assert row.measures["recall@10"].mean > 0.9  # the answer is in every corpus, also where 12 passages are left
        assert (row.latency is None) == (row.passages == 12)
        if row.method.depth == 10:
            assert row.measures["MRR@10"].mean == pytest.approx(1.0)  # the double of the reranker counts shared words
    assert report.models["embed"].name == "fake"
    assert set(report.seconds) == {"indexing", "searching", "statistics", "latency"}


async def test_the_collection_is_used_again(gateway: Any, judged: Dataset) -> None:
    await evaluated(gateway, judged)
    gateway.embed.calls.clear()
    await evaluated(gateway, judged)
    assert {len(texts) for texts in gateway.embed.calls} == {1}  # queries of the latency measurement alone


async def test_the_trace_holds_what_was_found(gateway: Any, judged: Dataset) -> None:
    trace = io.StringIO()
    await evaluated(gateway, judged, trace)
    lines = [json.loads(line) for line in trace.getvalue().splitlines()]
    assert len(lines) == 2 * 3 * len(SUBJECTS)  # sizes, first stages
    identity, logit, cosine = lines[0]["candidates"][0]
    assert identity[0] in "dx"
    assert isinstance(logit, float)
    assert -1 <= cosine <= 1.001


async def test_a_search_without_its_second_stage_is_not_counted(
    gateway: Any, judged: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(searching, "LONGEST_PAUSE_SECONDS", 0.1)
    gateway.rerank.faults.error = Overloaded("full", retry_after=0.01)
    with pytest.raises(SiftlineError, match=r"stay degraded \(RERANK_.*--concurrency"):
        await evaluated(gateway, judged)


async def test_answers_are_hidden_and_a_calibration_comes_out(gateway: Any, judged: Dataset) -> None:
    async with AsyncClient(gateway.target) as client:
        report = await calibrate(client, judged, Asked(depth=10, unanswerable=0.25, precision=0.9), no_bars)
        stored = await client.set_calibration(
            (await client.list_collections())[0].name, report.calibration, recall_weight=report.weight.value
        )
    assert (report.queries, report.unanswerable) == (24, 6)
    assert report.for_precision is not None
    assert report.for_precision.rejected == 1.0  # nothing but the hidden passages shares two words with a question
    assert report.calibration.rerank_fingerprint == gateway.rerank.fingerprint
    assert stored.calibration is not None
    assert stored.calibration.map == pytest.approx(report.calibration.map)
