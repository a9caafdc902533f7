"""What the batcher asks of the thing that computes."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serving.batching.layout import Batch


class OutOfMemory(Exception):
    """The engine had no memory for a batch; a smaller one may fit."""


class Engine(Protocol):
    """What computes. `run` raises OutOfMemory, Unavailable (engine gone) or another SiftlineError (batch failed)."""

    async def run(self, batch: Batch) -> tuple[NDArray[np.float32], ...]:
        """float32 [B, d], then, for each of the batch's token_outputs, float32 as the layout unpacks it."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """`edges` are the upper bounds of the length buckets, ascending, and end at the longest row that may come."""

    edges: tuple[int, ...]
    batch_tokens: int  # per batch, padding counted
    in_flight: int  # batches in the engine at once
    instances: int  # batches that the engine computes at once
    queue_tokens: int  # waiting tokens per lane
    seconds_per_token: float  # of one instance; a first guess, measured from then on
