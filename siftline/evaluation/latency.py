"""How long one search takes when nothing else is going on."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from siftline.client import AsyncClient
from siftline.evaluation.methods import Method
from siftline.evaluation.searching import SEARCH_SECONDS, How, search

TOP_K = 10


@dataclass(frozen=True)
class Latency:
    """Milliseconds: as the caller saw it, and the medians of the stages as the server saw them."""

    searches: int
    p50_ms: float
    p99_ms: float
    embed_ms: float
    recall_ms: float
    rerank_ms: float


async def measure(
    client: AsyncClient,
    collection: str,
    queries: Sequence[str],
    method: Method,
    *,
    recall_weight: float | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> Latency:
    """Searches one after another; each embeds its query, none finds it in the cache."""
    how = How(method.recall, method.depth or TOP_K, rerank=method.depth > 0, recall_weight=recall_weight)
    patient, times, stages = client.with_timeout(SEARCH_SECONDS), [], []
    for done, query in enumerate(queries, 1):
        text = _unseen(query)
        started = time.perf_counter()
        timings = (await search(patient, collection, text, how)).timings
        times.append((time.perf_counter() - started) * 1e3)
        stages.append((timings.embed_us, timings.recall_us, timings.rerank_us))
        report(done)
    p50, p99 = np.percentile(times, [50, 99])
    embed, recall, rerank = np.median(stages, axis=0) / 1e3
    return Latency(len(times), *(round(float(value), 2) for value in (p50, p99, embed, recall, rerank)))


def _unseen(query: str) -> str:
    """The query with white space behind it that tokenizers drop and the embedding cache has never seen."""
    return query + "".join(random.choices(" \t", k=48))
