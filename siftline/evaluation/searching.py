"""Searches of many queries at once through the gateway."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import grpc

from siftline.client import AsyncClient
from siftline.errors import SiftlineError
from siftline.evaluation.collection import RANK
from siftline.evaluation.methods import Candidate, candidates
from siftline.results import Recall, SearchResult

SEARCH_SECONDS = 300.0
# A second stage that is overloaded, or that starts again, has this long: a search without it would not be measured.
PATIENCE_SECONDS = 180.0
LONGEST_PAUSE_SECONDS = 10.0
UNREADABLE = "RERANK_UNREADABLE"  # recall order is what both stages make of such a query, every time


@dataclass(frozen=True)
class How:
    """recall_weight None: the collection's."""

    recall: Recall
    depth: int
    rerank: bool
    recall_weight: float | None = None


async def search(client: AsyncClient, collection: str, text: str, how: How, filter_text: str = "") -> SearchResult:
    """One search of all `depth` passages; asked again while there is too much to do. Hits of a query that the reranker
    cannot read have no logits.

    Raises SiftlineError, also for an answer that stays degraded.
    """
    pause, deadline = 0.5, time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await _whole(client, collection, text, how, filter_text)
        except SiftlineError as error:
            if error.code is not grpc.StatusCode.RESOURCE_EXHAUSTED or time.monotonic() > deadline:
                raise
            await asyncio.sleep(max(pause, error.retry_after or 0.0))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _whole(client: AsyncClient, collection: str, text: str, how: How, filter_text: str) -> SearchResult:
    """One search. Raises SiftlineError, also for an answer that only load made degraded."""
    result = await client.search(
        collection,
        text,
        top_k=how.depth,
        recall_depth=how.depth,
        recall=how.recall,
        rerank=how.rerank,
        recall_weight=how.recall_weight,
        filter=filter_text,
        return_fields=[RANK],  # so that no text is sent back
    )
    if lacking := [reason for reason in result.degraded if reason != UNREADABLE]:
        raise _degraded(lacking[0], how)
    return result


async def search_all(
    client: AsyncClient,
    collection: str,
    queries: Mapping[str, str],
    how: How,
    *,
    filters: Callable[[str], str] = lambda query: "",
    concurrency: int = 4,
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, tuple[Candidate, ...]]:
    """What each query finds, in recall order, by its id; `filters` gives a query's filter."""
    waiting = iter(queries.items())
    found: dict[str, tuple[Candidate, ...]] = {}
    patient = client.with_timeout(SEARCH_SECONDS)

    async def work() -> None:
        for query, text in waiting:
            result = await search(patient, collection, text, how, filters(query))
            found[query] = candidates(result.hits, how.recall)
            report(len(found))

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return {query: found[query] for query in queries}


def _degraded(reason: str, how: How) -> SiftlineError:
    return SiftlineError(
        f"searches of depth {how.depth} stay degraded ({reason}): lower the depth or --concurrency, "
        "or raise SIFTLINE_GATEWAY_RERANK_BUDGET_S",
        code=grpc.StatusCode.RESOURCE_EXHAUSTED,
        reason=reason,
    )
