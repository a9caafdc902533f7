"""Searches of many queries at once through the gateway."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import grpc

from siftline.client import AsyncClient
from siftline.errors import SiftlineError
from siftline.evaluation.collection import RANK
from siftline.evaluation.methods import Candidate, candidates
from siftline.results import Recall, SearchResult

ATTEMPTS = 4
SEARCH_SECONDS = 120.0


@dataclass(frozen=True)
class How:
    """recall_weight None: the collection's."""

    recall: Recall
    depth: int
    rerank: bool
    recall_weight: float | None = None


async def search(client: AsyncClient, collection: str, text: str, how: How, filter_text: str = "") -> SearchResult:
    """One search of all `depth` passages. Raises SiftlineError, also when the second stage stayed away."""
    for attempt in range(1, ATTEMPTS + 1):
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
        if not result.degraded:
            return result
        await asyncio.sleep(attempt)
    raise SiftlineError(
        f"the second stage did not answer in {ATTEMPTS} searches of depth {how.depth} ({result.degraded[0]}): "
        "lower the depth or --concurrency, or raise SIFTLINE_GATEWAY_RERANK_BUDGET_S",
        code=grpc.StatusCode.UNAVAILABLE,
        reason=result.degraded[0],
    )


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
