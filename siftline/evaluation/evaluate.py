"""One evaluation from a set on disk to a report. Read `evaluate` top to bottom."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import IO, Protocol

from siftline.client import AsyncClient
from siftline.evaluation import collection, latency
from siftline.evaluation.collection import Corpus
from siftline.evaluation.comparison import Measured, compare
from siftline.evaluation.dataset import Dataset
from siftline.evaluation.latency import Latency
from siftline.evaluation.measures import BCE_DEPTH, Rankings, llama_index
from siftline.evaluation.methods import Candidate, Method, ranking
from siftline.evaluation.searching import How, search_all
from siftline.results import Model, Recall

RECALL_DEPTH = 50  # of an evaluation without the second stage


class Bars(Protocol):
    """Shows progress: called with a title and a total, gives the function that is told how much is done."""

    def __call__(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]: ...


@dataclass(frozen=True)
class Plan:
    """What is measured.

    depths: passages that the second stage scores; none for no second stage
    sizes: corpora of so many passages are searched besides the whole one
    latency_searches: timed one at a time, of each method on the whole corpus; 0 for none
    recall_weight: None for the collection's
    """

    recalls: tuple[Recall, ...] = ("vector", "bm25", "hybrid")
    depths: tuple[int, ...] = (10, 20, 50)
    sizes: tuple[int, ...] = ()
    cutoffs: tuple[int, ...] = (1, 5, 10)
    concurrency: int = 4
    latency_searches: int = 50
    seed: int = 0
    recall_weight: float | None = None

    @property
    def depth(self) -> int:
        """How deep every search goes."""
        return max(self.depths, default=max(RECALL_DEPTH, *self.cutoffs))

    @property
    def methods(self) -> list[Method]:
        return [Method(recall, depth) for recall in self.recalls for depth in (0, *sorted(self.depths))]

    @property
    def measured_cutoffs(self) -> list[int]:
        """Those that a search reaches, and its depth: what recall does not find there, no second stage can lift."""
        return sorted({cutoff for cutoff in self.cutoffs if cutoff < self.depth} | {self.depth})


@dataclass(frozen=True)
class Row:
    """One method on a corpus of one size. `llama_index` where BCEmbedding's settings can be had."""

    method: Method
    passages: int
    measures: dict[str, Measured]
    llama_index: dict[str, float] | None = None
    latency: Latency | None = None


@dataclass
class Report:
    """What was measured. seconds: of each part of the work; the rows on the whole corpus come last."""

    dataset: str
    split: str
    queries: int
    passages: int
    plan: Plan
    recall_weight: float
    models: dict[str, Model]
    rows: list[Row] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[part] = round(self.seconds.get(part, 0.0) + time.monotonic() - started, 1)


async def evaluate(
    client: AsyncClient, dataset: Dataset, plan: Plan, bars: Bars, trace: IO[str] | None = None
) -> Report:
    """Writes what every search found to `trace`, one JSON object a line. Raises SiftlineError."""
    report = await _begun(client, dataset, plan)
    with report.timed("indexing"), bars("indexing", report.passages) as shown:
        corpus = await collection.ensure(client, dataset, lambda progress: shown(progress.seen))
    if plan.recall_weight is None:
        report.recall_weight = (await client.get_collection(corpus.collection)).recall_weight
    for size in (*sorted(size for size in set(plan.sizes) if size < report.passages), report.passages):
        with report.timed("searching"):
            rankings = await _rankings(client, dataset, corpus, plan, size, bars, trace)
        with report.timed("statistics"):
            measured = compare(rankings, dataset.relevant, plan.measured_cutoffs, plan.seed)
        whole = size == report.passages
        for method, measures in measured.items():
            extra = _llama_index(plan, rankings, method, dataset) if whole else None
            timing = await _timed(client, dataset, corpus, plan, method, bars, report) if whole else None
            report.rows.append(Row(method, size, measures, extra, timing))
    return report


async def _begun(client: AsyncClient, dataset: Dataset, plan: Plan) -> Report:
    models = {"embed": await client.embed_model()}
    if plan.depths:
        models["rerank"] = await client.rerank_model()
    return Report(
        dataset=dataset.name,
        split=dataset.split,
        queries=len(dataset.queries),
        passages=len(dataset.documents),
        plan=plan,
        recall_weight=plan.recall_weight or 0.0,
        models=models,
    )


async def _rankings(
    client: AsyncClient,
    dataset: Dataset,
    corpus: Corpus,
    plan: Plan,
    size: int,
    bars: Bars,
    trace: IO[str] | None,
) -> dict[Method, Rankings]:
    """One search for each query and first stage, as deep as the deepest method: it holds the shallower ones."""
    rankings: dict[Method, Rankings] = {}
    for recall in plan.recalls:
        with bars(f"{recall}, {size} passages", len(dataset.queries)) as shown:
            found = await search_all(
                client,
                corpus.collection,
                dataset.queries,
                How(recall, plan.depth, bool(plan.depths), plan.recall_weight),
                filters=lambda query: corpus.subset(size, dataset.relevant[query]),
                concurrency=plan.concurrency,
                report=shown,
            )
        if trace is not None:
            trace.writelines(_traced(query, recall, size, each) for query, each in found.items())
        for method in plan.methods:
            if method.recall == recall:
                rankings[method] = {query: ranking(found[query], method.depth) for query in found}
    return rankings


def _traced(query: str, recall: Recall, size: int, found: Sequence[Candidate]) -> str:
    candidates = [(each.id, each.logit, each.cosine) for each in found]
    return json.dumps({"query": query, "recall": recall, "passages": size, "candidates": candidates}) + "\n"


def _llama_index(
    plan: Plan, rankings: dict[Method, Rankings], method: Method, dataset: Dataset
) -> dict[str, float] | None:
    """With the cut-offs of BCEmbedding: the second stage over 10 passages, which has to be one of the depths."""
    return llama_index(rankings[method], dataset.relevant) if method.depth in (0, BCE_DEPTH) else None


async def _timed(
    client: AsyncClient, dataset: Dataset, corpus: Corpus, plan: Plan, method: Method, bars: Bars, report: Report
) -> Latency | None:
    queries = list(dataset.sample(plan.latency_searches, plan.seed).queries.values())[: plan.latency_searches]
    if not queries:
        return None
    with report.timed("latency"), bars(f"latency, {method.name}", len(queries)) as shown:
        return await latency.measure(
            client, corpus.collection, queries, method, recall_weight=plan.recall_weight, report=shown
        )
