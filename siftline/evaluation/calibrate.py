"""One calibration from a judged set to a report. Read `calibrate` top to bottom."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from siftline.client import AsyncClient
from siftline.evaluation import collection, thresholds
from siftline.evaluation.calibration import Fitted, Judged, Kind, Unfit, Weight, fit_map, fit_weight
from siftline.evaluation.dataset import Dataset
from siftline.evaluation.methods import Candidate
from siftline.evaluation.progress import Bars
from siftline.evaluation.searching import How, search_all
from siftline.results import Calibration, Recall


@dataclass(frozen=True)
class Asked:
    """unanswerable: share of the queries whose relevant passages are hidden from recall.

    precision: wanted of the first passage; rejection: wanted share of the unanswerable queries that get nothing
    """

    recall: Recall = "vector"
    depth: int = 50
    unanswerable: float = 0.3
    precision: float = 0.9
    rejection: float = 0.9
    concurrency: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Report:
    """What was fitted. All of the numbers are of queries that the map in question was not fitted to.

    unread: queries left out because the reranker cannot read them; no probability is given to theirs
    """

    dataset: str
    split: str
    queries: int
    unanswerable: int
    passages: int
    asked: Asked
    reranker: str
    calibration: Calibration
    weight: Weight
    kind: Kind
    log_loss: Mapping[Kind, float]
    calibration_error: float
    reliability: list[thresholds.Bin]
    operating: list[thresholds.Operating]
    for_precision: thresholds.Operating | None
    for_rejection: thresholds.Operating | None
    unread: int


async def calibrate(client: AsyncClient, dataset: Dataset, asked: Asked, bars: Bars) -> Report:
    """Raises SiftlineError, Unfit."""
    with bars("indexing", len(dataset.documents)) as shown:
        corpus = await collection.ensure(client, dataset, lambda progress: shown(progress.seen))
    hidden = _hidden(dataset, asked)
    with bars(f"{asked.recall} + rerank {asked.depth}", len(dataset.queries)) as shown:
        found = await search_all(
            client,
            corpus.collection,
            dataset.queries,
            How(asked.recall, asked.depth, rerank=True, recall_weight=0.0),
            filters=lambda query: corpus.without(dataset.relevant[query]) if query in hidden else "",
            concurrency=asked.concurrency,
            report=shown,
        )
    read = {query: each for query, each in found.items() if all(one.logit is not None for one in each)}
    if found and not read:
        raise Unfit(f"the reranker can read none of the {len(found)} queries")
    queries = [_judged(each, dataset.relevant[query], query not in hidden) for query, each in read.items()]
    model = await client.rerank_model()
    weight = fit_weight([query for query in queries if query.answerable], asked.seed)
    fitted = fit_map(queries, asked.seed)
    report = _report(dataset, asked, queries, weight, fitted, (model.name, model.fingerprint))
    return replace(report, unread=len(found) - len(read))


def _hidden(dataset: Dataset, asked: Asked) -> frozenset[str]:
    """The queries that are made unanswerable."""
    count = round(asked.unanswerable * len(dataset.queries))
    return frozenset(random.Random(asked.seed).sample(sorted(dataset.queries), count))


def _judged(found: tuple[Candidate, ...], relevant: Mapping[str, int], answerable: bool) -> Judged:
    return Judged(
        logits=np.array([candidate.logit for candidate in found], dtype=np.float64),
        cosines=np.array([candidate.cosine for candidate in found], dtype=np.float64),
        relevant=np.array([candidate.id in relevant for candidate in found], dtype=np.bool_),
        answerable=answerable,
    )


def _report(
    dataset: Dataset, asked: Asked, queries: list[Judged], weight: Weight, fitted: Fitted, reranker: tuple[str, str]
) -> Report:
    name, fingerprint = reranker
    bins = thresholds.reliability(queries, fitted.held_out)
    points = thresholds.operating(queries, fitted.held_out, weight.value)
    return Report(
        dataset=dataset.name,
        split=dataset.split,
        queries=len(queries),
        unanswerable=sum(not query.answerable for query in queries),
        passages=len(dataset.documents),
        asked=asked,
        reranker=name,
        calibration=Calibration(fingerprint, fitted.map),
        weight=weight,
        kind=fitted.kind,
        log_loss=fitted.log_loss,
        calibration_error=thresholds.expected_calibration_error(bins),
        reliability=bins,
        operating=points,
        for_precision=thresholds.for_precision(points, asked.precision),
        for_rejection=thresholds.for_rejection(points, asked.rejection),
        unread=0,
    )
