"""One evaluation from a set on disk to a report. Read `Evaluation.run` top to bottom."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO

from siftline.client import AsyncClient
from siftline.evaluation import collection, latency, trace
from siftline.evaluation.collection import Corpus
from siftline.evaluation.comparison import compare, gains, measure
from siftline.evaluation.dataset import Dataset
from siftline.evaluation.finding import Finder, Found
from siftline.evaluation.latency import Latency
from siftline.evaluation.measures import BCE_DEPTH, Rankings, llama_index
from siftline.evaluation.methods import Method, ranking
from siftline.evaluation.progress import Bars
from siftline.evaluation.report import Plan, Report, Row
from siftline.results import Recall


class Evaluation:
    """One run. What searches find is written to `record`; what `replay`, the file of another run, has of them is not
    searched for again. Errors: SiftlineError, BadDataset.
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
        self._replay = replay

    async def run(self) -> Report:
        report = await self._begun()
        with report.timed("indexing"), self._bars("indexing", report.passages) as shown:
            corpus = await collection.ensure(
                self._client, self._dataset, lambda progress: shown(progress.seen), self._plan.language
            )
        if self._plan.recall_weight is None:
            report.recall_weight = (await self._client.get_collection(corpus.collection)).recall_weight
        await self._search(corpus, report)
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

    async def _search(self, corpus: Corpus, report: Report) -> None:
        """Fills in the rows of every size."""
        known = trace.read(self._replay, report.models, report.recall_weight) if self._replay else {}
        if self._record is not None:
            trace.begin(self._record, report.models)
        finder = Finder(self._client, corpus, self._dataset, self._plan, report.recall_weight, self._bars)
        for size in self._sizes(report.passages):
            found: dict[Recall, Found] = {}
            for recall in self._plan.recalls:
                with report.timed(f"searching by {recall}"):
                    found[recall] = await finder.find(recall, size, self._known(known, recall, size))
                if self._record is not None:
                    trace.write(self._record, recall, size, found[recall])
            with report.timed("statistics"):
                report.rows += self._rows(found, size)
        report.unread = len(finder.unread)

    def _sizes(self, whole: int) -> list[int]:
        return [*sorted(size for size in set(self._plan.sizes) if size < whole), whole]

    def _known(self, known: trace.Groups, recall: Recall, size: int) -> Found:
        """Of this run's queries."""
        return {query: each for query, each in known.get((recall, size), {}).items() if query in self._dataset.queries}

    def _rows(self, found: Mapping[Recall, Found], size: int) -> list[Row]:
        rankings: dict[Method, Rankings] = {
            method: {query: ranking(each, method.depth) for query, each in found[method.recall].items()}
            for method in self._plan.methods
        }
        relevant, plan = self._dataset.relevant, self._plan
        values = measure(rankings, relevant, plan.measured_cutoffs)
        by_first = gains(values, plan.by_first_recall, plan.seed)
        by_second = gains(values, plan.alone, plan.seed)
        return [
            # BCEmbedding's second stage looks at 10 passages, so 10 has to be one of the depths.
            Row(
                method,
                size,
                measures,
                llama_index(rankings[method], relevant) if method.depth in (0, BCE_DEPTH) else None,
                first_stage=by_first.get(method),
                second_stage=by_second.get(method),
            )
            for method, measures in compare(values, plan.seed).items()
        ]

    async def _latency(self, corpus: Corpus, method: Method) -> Latency:
        plan = self._plan
        queries = list(self._dataset.sample(plan.latency_searches, plan.seed).queries.values())
        with self._bars(f"latency, {method.name}", len(queries)) as shown:
            return await latency.measure(
                self._client, corpus.collection, queries, method, recall_weight=plan.recall_weight, report=shown
            )
