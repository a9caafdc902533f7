"""`siftline eval` and `siftline calibrate` as a client of a real gateway and index, with doubles of the models."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serving.errors import Overloaded
from siftline.client import AsyncClient
from siftline.errors import SiftlineError
from siftline.evaluation import searching
from siftline.evaluation.calibrate import Asked, calibrate
from siftline.evaluation.calibration import Unfit
from siftline.evaluation.dataset import Dataset, read
from siftline.evaluation.evaluate import Evaluation
from siftline.evaluation.files import BadDataset
from siftline.evaluation.report import Plan, Report
from tests.running.redis_server import RedisServer

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


async def evaluated(gateway: Any, judged: Dataset, plan: Plan = PLAN, **more: Any) -> Report:
    async with AsyncClient(gateway.target) as client:
        return await Evaluation(client, judged, plan, no_bars, **more).run()


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
    searching = {f"searching by {recall}" for recall in PLAN.recalls}
    assert set(report.seconds) == {"indexing", *searching, "statistics", "latency"}


async def test_the_collection_is_used_again(gateway: Any, judged: Dataset) -> None:
    await evaluated(gateway, judged)
    gateway.embed.calls.clear()
    await evaluated(gateway, judged)
    assert {len(texts) for texts in gateway.embed.calls} == {1}  # queries of the latency measurement alone


async def test_the_trace_holds_what_was_found(gateway: Any, judged: Dataset) -> None:
    trace = io.StringIO()
    await evaluated(gateway, judged, record=trace)
    head, *lines = [json.loads(line) for line in trace.getvalue().splitlines()]
    assert head == {"models": {"embed": gateway.embed.fingerprint, "rerank": gateway.rerank.fingerprint}}
    assert len(lines) == 2 * 3 * len(SUBJECTS)  # sizes, first stages
    identity, logit, cosine = lines[0]["candidates"][0]
    assert identity[0] in "dx"
    assert isinstance(logit, float)
    assert -1 <= cosine <= 1.001


async def test_a_trace_is_replayed_with_another_weight(gateway: Any, judged: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "trace"
    with file.open("w") as record:
        first = await evaluated(gateway, judged, record=record)
    gateway.rerank.calls.clear()
    untimed = replace(PLAN, latency_searches=0)
    again = await evaluated(gateway, judged, untimed, replay=file)
    assert [row.measures for row in again.rows] == [row.measures for row in first.rows]
    weighed = replace(untimed, recall_weight=900.0)
    other = await evaluated(gateway, judged, weighed, replay=file)
    by_method = {row.method.name: row.measures["MRR@10"].mean for row in other.rows}
    assert by_method["vector + rerank 10"] == pytest.approx(by_method["vector"])  # the weight leaves no other order
    assert gateway.rerank.calls == []


async def test_a_trace_is_gone_on_with(gateway: Any, judged: Dataset, tmp_path: Path) -> None:
    """What it has is not searched again; what it lacks is, and measures the same."""
    untimed, file = replace(PLAN, latency_searches=0), tmp_path / "trace"
    with file.open("w") as record:
        whole = await evaluated(gateway, judged, untimed, record=record)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:40]))
    half = sum(gateway.rerank.calls)
    gateway.rerank.calls.clear()
    assert (await evaluated(gateway, judged, untimed, replay=file)).rows == whole.rows
    assert 0 < sum(gateway.rerank.calls) < half
    file.write_text(lines[0] + '{"query": "q0"}')
    with pytest.raises(BadDataset, match="trace:2: not a line of a trace"):
        await evaluated(gateway, judged, untimed, replay=file)
    file.write_text(lines[1])
    with pytest.raises(BadDataset, match="trace:1: a trace of the models .* is needed, found None"):
        await evaluated(gateway, judged, untimed, replay=file)


async def test_a_pair_is_scored_once_whatever_finds_it(gateway: Any, judged: Dataset) -> None:
    """And every method has the order that its own searches of both stages have."""
    plan = replace(PLAN, latency_searches=0, recall_weight=1.5)
    together = await evaluated(gateway, judged, plan)
    assert sum(gateway.rerank.calls) < len(SUBJECTS) * len(judged.documents)  # no more than there are
    alone = [await evaluated(gateway, judged, replace(plan, recalls=(recall,), sizes=())) for recall in plan.recalls]
    means = {row.method: {name: each.mean for name, each in row.measures.items()} for row in together.rows}
    assert means == {
        row.method: {n: each.mean for n, each in row.measures.items()} for one in alone for row in one.rows
    }


async def test_queries_that_the_reranker_cannot_read_are_in_recall_order(gateway: Any, judged: Dataset) -> None:
    gateway.rerank.unknown = 1.0
    trace = io.StringIO()
    report = await evaluated(gateway, judged, replace(PLAN, language="german"), record=trace)
    assert report.unread == len(SUBJECTS)
    means = {row.method: row.measures["MRR@10"].mean for row in report.rows if row.passages == report.passages}
    for method, mean in means.items():
        assert mean == means[replace(method, depth=0)]
    async with AsyncClient(gateway.target) as client:
        assert [each.language for each in await client.list_collections()] == ["german"]
        with pytest.raises(Unfit, match="none of the 24 queries"):
            await calibrate(client, judged, Asked(depth=10), no_bars)


async def test_a_search_without_its_second_stage_is_not_counted(
    gateway: Any, judged: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(searching, "LONGEST_PAUSE_SECONDS", 0.1)
    gateway.rerank.faults.error = Overloaded("full", retry_after=0.01)
    with pytest.raises(SiftlineError, match=r"stay degraded \(RERANK_.*--concurrency"):
        await evaluated(gateway, judged)


async def test_searches_that_are_refused_are_asked_again(
    gateways: Any, redis_server: RedisServer, judged: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More at once than the gateway lets in: it takes longer and is measured all the same."""
    gateway = await gateways.start(redis_server.url, max_searches=1)
    await gateway.until_ready()
    gateway.rerank.faults.delay = 0.02
    monkeypatch.setattr(searching, "LONGEST_PAUSE_SECONDS", 0.05)
    plan = replace(PLAN, recalls=("vector",), sizes=(), latency_searches=0, concurrency=24)
    report = await evaluated(gateway, judged, plan)
    assert [row.measures["MRR@10"].mean for row in report.rows if row.method.depth == 10] == [pytest.approx(1.0)]


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
