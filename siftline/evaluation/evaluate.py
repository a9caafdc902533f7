"""One evaluation from a set on disk to a report. Read `Evaluation.run` top to bottom."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO

from siftline.client import AsyncClient
from siftline.evaluation import collection, latency, trace
from siftline.evaluation.collection import Corpus
from siftline.evaluation.comparison import compare
from siftline.evaluation.dataset import Dataset
from siftline.evaluation.files import BadDataset
from siftline.evaluation.latency import Latency
from siftline.evaluation.measures import BCE_DEPTH, Rankings, llama_index
from siftline.evaluation.methods import Method, ranking
from siftline.evaluation.progress import Bars
from siftline.evaluation.report import Plan, Report, Row
from siftline.evaluation.searching import How, search_all
from siftline.evaluation.trace import Found
from siftline.results import Recall


class Evaluation:
    """One run. What searches find is written to `record`; with `replay`, the file of another run, nothing is searched
    but for its latency. Errors: SiftlineError, BadDataset.
    """

    def __init__(
        self,
        client: AsyncClient,
        dataset: Dataset,
        plan: Plan,
        bars: Bars,
        *,
        record: IO[str] | None = None,
        replay: Path | None = None,
    ) -> None:
        self._client = client
        self._dataset = dataset
        self._plan = plan
        self._bars = bars
        self._record = record
        self._replayed = trace.read(replay, plan.recall_weight or 0.0) if replay else None

    async def run(self) -> Report:
        report = await self._begun()
        with report.timed("indexing"), self._bars("indexing", report.passages) as shown:
            corpus = await collection.ensure(self._client, self._dataset, lambda progress: shown(progress.seen))
        if self._plan.recall_weight is None and self._replayed is None:
            report.recall_weight = (await self._client.get_collection(corpus.collection)).recall_weight
        for size in self._sizes(report.passages):
            with report.timed("searching"):
                found = {recall: await self._find(corpus, recall, size) for recall in self._plan.recalls}
            with report.timed("statistics"):
                report.rows += self._rows(found, size)
        if self._plan.latency_searches:
            with report.timed("latency"):
                timings = {method: await self._latency(corpus, method) for method in self._plan.methods}
            report.rows = [row.timed(timings) if row.passages == report.passages else row for row in report.rows]
        return report

    async def _begun(self) -> Report:
        models = {"embed": await self._client.embed_model()}
        if self._plan.depths:
            models["rerank"] = await self._client.rerank_model()
        return Report(
            dataset=self._dataset.name,
            split=self._dataset.split,
            queries=len(self._dataset.queries),
            passages=len(self._dataset.documents),
            plan=self._plan,
            recall_weight=self._plan.recall_weight or 0.0,
            models=models,
        )

    def _sizes(self, whole: int) -> list[int]:
        return [*sorted(size for size in set(self._plan.sizes) if size < whole), whole]

    async def _find(self, corpus: Corpus, recall: Recall, size: int) -> Found:
        """One search for each query, as deep as the deepest method: it holds the shallower ones."""
        if self._replayed is not None:
            return self._replay(recall, size)
        plan, dataset = self._plan, self._dataset
        with self._bars(f"{recall}, {size} passages", len(dataset.queries)) as shown:
            found = await search_all(
                self._client,
                corpus.collection,
                dataset.queries,
                How(recall, plan.depth, bool(plan.depths), plan.recall_weight),
                filters=lambda query: corpus.subset(size, dataset.relevant[query]),
                concurrency=plan.concurrency,
                report=shown,
            )
        if self._record is not None:
            trace.write(self._record, recall, size, found)
        return found

    def _replay(self, recall: Recall, size: int) -> Found:
        known = (self._replayed or {}).get((recall, size), {})
        missing = self._dataset.queries.keys() - known.keys()
        if missing:
            raise BadDataset(f"the trace has no {recall} search of {size} passages for query {min(missing)!r}")
        return {query: known[query] for query in self._dataset.queries}

    def _rows(self, found: Mapping[Recall, Found], size: int) -> list[Row]:
        rankings: dict[Method, Rankings] = {
            method: {query: ranking(each, method.depth) for query, each in found[method.recall].items()}
            for method in self._plan.methods
        }
        relevant, plan = self._dataset.relevant, self._plan
        compared = compare(rankings, relevant, plan.measured_cutoffs, plan.seed)
        return [
            # BCEmbedding's second stage looks at 10 passages, so 10 has to be one of the depths.
            Row(
                method,
                size,
                measures,
                llama_index(rankings[method], relevant) if method.depth in (0, BCE_DEPTH) else None,
            )
            for method, measures in compared.items()
        ]

    async def _latency(self, corpus: Corpus, method: Method) -> Latency:
        plan = self._plan
        queries = list(self._dataset.sample(plan.latency_searches, plan.seed).queries.values())
        with self._bars(f"latency, {method.name}", len(queries)) as shown:
            return await latency.measure(
                self._client, corpus.collection, queries, method, recall_weight=plan.recall_weight, report=shown
            )
