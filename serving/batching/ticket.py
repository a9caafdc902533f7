"""One admitted request, from admission until everyone who waits for it has been told."""

import asyncio
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving import tracing
from serving.batching.rows import Rows, places

Float32 = NDArray[np.float32]


class Priority(enum.Enum):
    INTERACTIVE = "interactive"
    BULK = "bulk"

    # Members are single: hashing them by name, as Enum does, only costs time on the hot path.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Completed:
    """Result of a request, and where its time went (seconds).

    outputs: float32 [n, d] in the order of its rows
    tokens:  float32 [T, ...] for each output per token that was asked for, in the order of its ids
    """

    outputs: Float32
    queue_seconds: float
    compute_seconds: float
    tokens: Mapping[str, Float32] = field(default_factory=dict)


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
        "trace",
        "token_outputs",
        "tokens",
        "waiting",
    )

    def __init__(
        self,
        rows: Rows,
        priority: Priority,
        deadline: float | None,
        now: float,
        future: "asyncio.Future[Completed]",
        token_outputs: tuple[str, ...] = (),
    ) -> None:
        self.rows = rows
        self.token_outputs = token_outputs
        self.priority = priority
        self.deadline = deadline
        self.admitted = now
        self.future = future
        self.output: Float32 | None = None
        self.tokens: dict[str, Float32] = {}
        self.owed = len(rows)  # rows without a result
        self.waiting = rows.tokens  # tokens in a lane, kept by the lane
        self.dropped = False  # rows of it were not computed because nobody waited any more
        self.trace = tracing.current()  # by which a batch that it is in belongs to its caller's trace
        self.queued = 0.0
        self.compute = 0.0

    @property
    def live(self) -> bool:
        """Someone still waits for the result."""
        return not self.future.done()

    def expired(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline

    def deliver(self, indices: NDArray[np.intp], values: Float32, of_tokens: Sequence[Float32], seconds: float) -> None:
        """Takes the results of some rows, and of their tokens, row after row, for each of `token_outputs`.

        Resolves the future with the last of them.
        """
        if not self.live:
            return
        if self.output is None:
            self.output = np.empty((len(self.rows), *values.shape[1:]), np.float32)
        self.output[indices] = values
        if of_tokens:
            self._place(indices, of_tokens)
        self.compute = max(self.compute, seconds)
        self.owed -= len(indices)
        if self.owed == 0:
            self.future.set_result(Completed(self.output, self.queued, self.compute, self.tokens))

    def _place(self, indices: NDArray[np.intp], of_tokens: Sequence[Float32]) -> None:
        found = places(self.rows, indices)
        for name, values in zip(self.token_outputs, of_tokens, strict=True):
            if name not in self.tokens:
                self.tokens[name] = np.empty((self.rows.tokens, *values.shape[1:]), np.float32)
            self.tokens[name][found] = values

    def fail(self, error: Exception) -> None:
        if self.live:
            self.future.set_exception(error)
