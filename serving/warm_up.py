"""The largest batches, computed once by every instance before anyone waits.

An engine keeps the memory of the largest batch that it has met. Taken at the start, it is known then, and no process
grows by it on the day on which the first such batch comes.
"""

import asyncio
import logging
import time

import numpy as np

from serving.batching import Batch, BatchLimits, Engine, Layout, OutOfMemory, Rows
from serving.errors import SiftlineError, Unavailable

log = logging.getLogger(__name__)

# A row of thousands of tokens takes a slow engine longer than a start may.
LONGEST_BATCH_SECONDS = 1.0


async def warm_up(engine: Engine, layout: Layout, limits: BatchLimits) -> None:
    """Batches of the shortest rows, then of the longest that take LONGEST_BATCH_SECONDS at most.

    One that does not fit or fails is left to the batcher, which knows what to do. Raises Unavailable.
    """
    try:
        shortest = _full(limits, limits.edges[0], layout)
        per_token = await _by_each(engine, shortest, limits.instances) / shortest.computed
        await _by_each(engine, _full(limits, _longest(limits, per_token), layout), limits.instances)
    except Unavailable:
        raise
    except (OutOfMemory, SiftlineError) as error:
        log.warning("the largest batch could not be tried: %s", error)


async def _by_each(engine: Engine, batch: Batch, instances: int) -> float:
    """Seconds. Instances take batches one by one, so of as many at once each has one."""
    started = time.perf_counter()
    await asyncio.gather(*(engine.run(batch) for _ in range(instances)))
    return time.perf_counter() - started


def _longest(limits: BatchLimits, per_token: float) -> int:
    """Of a row whose batch is expected to be done in time; a batch is never less than its budget."""
    tokens = max(limits.batch_tokens, int(LONGEST_BATCH_SECONDS / per_token))
    return max(edge for edge in limits.edges if edge <= max(tokens, limits.edges[0]))


def _full(limits: BatchLimits, length: int, layout: Layout) -> Batch:
    """As many rows of this length as the batcher puts together."""
    rows = max(1, limits.batch_tokens // length)
    ids = np.full(rows * length, layout.pad_token_id + 1, np.int32)
    return layout.batch([Rows(ids, np.full(rows, length, np.int32))])
