"""The batches that siftline's batcher makes of a workload, for whoever wants to compute just those.

Requests go through the product's own tokenizer pool and batcher, with n in flight; in place of an engine stands a
clock that takes as long for each batch as a real one would.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.loops import closed_loop
from benchmarks.workloads import Request, Workload
from serving import served_model
from serving.batching import Batch, Batcher, BatchLimits, Rows
from serving.calibration import length_edges
from serving.layouts import layout_of
from serving.tokenization import TokenizerPool, Tokens, cut, surround

QUEUE_TOKENS = 1 << 24


class RecordingEngine:
    """Keeps every batch and answers when `instances` engines of a given speed would have."""

    def __init__(self, instances: int, seconds_per_token: float) -> None:
        self._free = asyncio.Semaphore(instances)
        self._seconds_per_token = seconds_per_token
        self.batches: list[Batch] = []

    async def run(self, batch: Batch) -> tuple[NDArray[np.float32], ...]:
        self.batches.append(batch)
        async with self._free:
            await asyncio.sleep(batch.computed * self._seconds_per_token)
        return (np.zeros((batch.rows, 1), np.float32),)


async def record(workload: Workload, in_flight: int, folder: Path, limits: BatchLimits) -> list[Batch]:
    """The batches of an embed workload, each of its requests once."""
    model = served_model.load(folder)
    tokenizer = TokenizerPool(folder / served_model.TOKENIZER_FILE)
    engine = RecordingEngine(limits.instances, limits.seconds_per_token)
    batcher = Batcher(engine, layout_of(model, limits.edges), limits, time.monotonic)
    rows = await tokenized(tokenizer, workload.requests, model.max_tokens)

    async def call(request: Request) -> object:
        return await batcher.submit(rows[id(request)])

    await closed_loop(call, workload.requests, in_flight, seconds=float("inf"), once=True)
    return engine.batches


async def tokenized(tokenizer: TokenizerPool, requests: Sequence[Request], longest: int) -> dict[int, Rows]:
    """Rows of every request, by the request's id()."""
    prefix, suffix = tokenizer.special_tokens()
    found = {}
    for request in requests:
        tokens: Tokens = await tokenizer.tokenize(request.texts)
        whole = surround(cut(tokens, longest - len(prefix) - len(suffix))[0], prefix, suffix)
        found[id(request)] = Rows(whole.ids, whole.lengths)
    return found


def limits_of(batch_tokens: int, longest: int, instances: int = 2, seconds_per_token: float = 2e-5) -> BatchLimits:
    """What the service would choose, with a batch size that is given."""
    edges = length_edges(longest)
    return BatchLimits(edges, batch_tokens, instances + 1, instances, QUEUE_TOKENS, seconds_per_token)


def longest(folder: Path) -> int:
    return served_model.load(folder).max_tokens
