"""One admitted request, from admission until everyone who waits for it has been told."""

import asyncio
import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.batching.rows import Rows

Float32 = NDArray[np.float32]


class Priority(enum.Enum):
    INTERACTIVE = "interactive"
    BULK = "bulk"

    # Members are single: hashing them by name, as Enum does, only costs time on the hot path.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Completed:
    """Result of a request: outputs float32 [n, d] in the order of its rows, and where its time went (seconds)."""

    outputs: Float32
    queue_seconds: float
    compute_seconds: float


class Ticket:
    """Rows still owed to one caller. Resolved exactly once, whatever happens first."""

    __slots__ = (
        "admitted",
        "compute",
        "deadline",
        "dropped",
        "future",
        "output",
        "owed",
        "priority",
        "queued",
        "rows",
        "waiting",
    )

    def __init__(
        self, rows: Rows, priority: Priority, deadline: float | None, now: float, future: "asyncio.Future[Completed]"
    ) -> None:
        self.rows = rows
        self.priority = priority
        self.deadline = deadline
        self.admitted = now
        self.future = future
        self.output: Float32 | None = None
        self.owed = len(rows)  # rows without a result
        self.waiting = rows.tokens  # tokens in a lane, kept by the lane
        self.dropped = False  # rows of it were not computed because nobody waited any more
        self.queued = 0.0
        self.compute = 0.0

    @property
    def live(self) -> bool:
        """Someone still waits for the result."""
        return not self.future.done()

    def expired(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline

    def deliver(self, indices: NDArray[np.intp], values: Float32, seconds: float) -> None:
        """Takes the results of some rows; resolves the future with the last of them."""
        if not self.live:
            return
        if self.output is None:
            self.output = np.empty((len(self.rows), *values.shape[1:]), np.float32)
        self.output[indices] = values
        self.compute = max(self.compute, seconds)
        self.owed -= len(indices)
        if self.owed == 0:
            self.future.set_result(Completed(self.output, self.queued, self.compute))

    def fail(self, error: Exception) -> None:
        if self.live:
            self.future.set_exception(error)
