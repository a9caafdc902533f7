"""Admission, dispatch and faults of the batcher. No timer anywhere: every step follows an arrival or a result."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serving.batching import metrics
from serving.batching.former import Former
from serving.batching.lane import Lane, Part
from serving.batching.matrices import Layout, Matrices, pad
from serving.batching.rows import Rows
from serving.batching.ticket import Completed, Priority, Ticket
from serving.errors import DeadlineExceeded, InvalidArgument, Overloaded, SiftlineError, Unavailable


class OutOfMemory(Exception):
    """The engine had no memory for a batch; a smaller one may fit."""


class Engine(Protocol):
    """What computes. `run` raises OutOfMemory, Unavailable (engine gone) or another SiftlineError (batch failed)."""

    async def run(self, batch: Matrices) -> NDArray[np.float32]:
        """float32 [B, d] for int32 [B, L] inputs."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """`edges` must end at the longest row that is ever submitted."""

    edges: tuple[int, ...]
    batch_tokens: int  # per batch, padding counted
    in_flight: int  # batches in the engine at once
    instances: int  # batches that the engine computes at once
    queue_tokens: int  # waiting tokens per lane
    seconds_per_token: float  # of one instance; a first guess, measured from then on


@dataclass(slots=True)
class _Load:
    """Measured speed of the whole engine: an average over the last batches, weighted by tokens."""

    seconds_per_token: float
    weight: float = 0.05

    def observe(self, seconds: float, tokens: int) -> None:
        self.seconds_per_token += self.weight * (seconds / tokens - self.seconds_per_token)


@dataclass(slots=True)
class _Waiting:
    tokens: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))

    def change(self, priority: Priority, tokens: int) -> None:
        self.tokens[priority] += tokens
        metrics.QUEUED_TOKENS.labels(priority.value).set(self.tokens[priority])

    @property
    def total(self) -> int:
        return sum(self.tokens.values())


class Batcher:
    """Turns requests of any size into batches of about equal cost.

    A request is admitted whole or refused whole. A batch leaves as soon as the engine has room and something waits.
    Must be used from one event loop.
    """

    def __init__(self, engine: Engine, layout: Layout, limits: BatchLimits, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._layout = layout
        self._limits = limits
        self._clock = clock
        self._lanes = {priority: Lane(limits.edges, self._discard) for priority in Priority}
        self._former = Former(self._lanes)
        self._load = _Load(limits.seconds_per_token)
        self._waiting = _Waiting()
        self._batches: set[asyncio.Task[None]] = set()
        self._down: str | None = None
        self._last_success = clock()

    @property
    def last_success(self) -> float:
        """Clock time of the last batch that the engine answered."""
        return self._last_success

    async def submit(
        self, rows: Rows, priority: Priority = Priority.INTERACTIVE, deadline: float | None = None
    ) -> Completed:
        """Computes all rows; `deadline` in the clock's seconds. Raises Overloaded, DeadlineExceeded, Unavailable."""
        ticket = self._admit(rows, priority, deadline)
        try:
            completed = await ticket.future
        except asyncio.CancelledError:
            self._abandon(ticket, "cancelled")
            raise
        metrics.QUEUE_SECONDS.labels(priority.value).observe(completed.queue_seconds)
        return completed

    def succeeded(self) -> None:
        """An inference outside the batcher (a canary) succeeded."""
        self._last_success = self._clock()

    @property
    def suspended(self) -> bool:
        return self._down is not None

    def suspend(self, reason: str) -> None:
        """The engine is gone: what waits fails now, and so does what comes, until `resume`."""
        self._down = reason
        for lane in self._lanes.values():
            for ticket in lane.drain():
                ticket.fail(_engine_down(reason))
                self._release(ticket)

    def resume(self) -> None:
        self._down = None
        self._dispatch()

    def retry_after(self, tokens: int) -> float:
        """Seconds until `tokens` more tokens of queue have been computed at the measured speed."""
        return max(0.001, tokens * self._load.seconds_per_token / self._limits.instances)

    def _admit(self, rows: Rows, priority: Priority, deadline: float | None) -> Ticket:
        now = self._clock()
        self._check(rows, priority, deadline, now)
        was_empty = self._waiting.tokens[priority] == 0
        ticket = Ticket(rows, priority, deadline, now, asyncio.get_running_loop().create_future())
        if was_empty:
            self._former.woke(priority)
        self._lanes[priority].add(ticket, now, self._load.seconds_per_token)
        self._waiting.change(priority, rows.tokens)
        self._dispatch()
        return ticket

    def _check(self, rows: Rows, priority: Priority, deadline: float | None, now: float) -> None:
        room = self._limits.queue_tokens - self._waiting.tokens[priority]
        if self._down is not None:
            self._refuse(priority, "engine_down", _engine_down(self._down))
        if deadline is not None and now >= deadline:
            metrics.DROPPED.labels(priority.value, "expired").inc()
            raise DeadlineExceeded("the deadline passed before the request was admitted")
        if rows.tokens > self._limits.queue_tokens:
            limit = self._limits.queue_tokens
            self._refuse(
                priority, "too_large", InvalidArgument("request", f"{rows.tokens} tokens; the limit is {limit}")
            )
        if rows.tokens > room:
            wait = self.retry_after(rows.tokens - room)
            full = f"{self._waiting.tokens[priority]} tokens wait in the {priority.value} lane"
            self._refuse(priority, "overloaded", Overloaded(f"{full}; room in {wait:.3f} s", retry_after=wait))

    def _refuse(self, priority: Priority, reason: str, error: SiftlineError) -> None:
        metrics.REFUSED.labels(priority.value, reason).inc()
        raise error

    def _discard(self, ticket: Ticket) -> bool:
        """Whether a ticket's rows need no computing: nobody waits for them, or not any more."""
        if ticket.live and ticket.expired(self._clock()):
            ticket.fail(DeadlineExceeded("the deadline passed while the request waited"))
            self._abandon(ticket, "expired")
        if not ticket.live:
            self._release(ticket)
        return not ticket.live

    def _abandon(self, ticket: Ticket, reason: str) -> None:
        if ticket.waiting:
            metrics.DROPPED.labels(ticket.priority.value, reason).inc()
        self._release(ticket)

    def _release(self, ticket: Ticket) -> None:
        """What a request still has waiting no longer counts."""
        self._waiting.change(ticket.priority, -ticket.waiting)
        ticket.waiting = 0

    def _dispatch(self) -> None:
        while self._down is None and len(self._batches) < self._limits.in_flight:
            parts = self._former.form(self._budget(), self._load.seconds_per_token)
            if not parts:
                return
            now = self._clock()
            for part in parts:
                part.ticket.dispatched(part.tokens, now)
                self._waiting.change(part.ticket.priority, -part.tokens)
            task = asyncio.get_running_loop().create_task(self._compute(parts))
            self._batches.add(task)
            task.add_done_callback(self._computed)
            metrics.IN_FLIGHT.set(len(self._batches))

    def _budget(self) -> int:
        """Tokens of the next batch: a small queue is shared out over the instances that are idle."""
        idle = self._limits.instances - len(self._batches)
        if idle <= 1:
            return self._limits.batch_tokens
        return min(self._limits.batch_tokens, -(-self._waiting.total // idle))

    def _computed(self, task: "asyncio.Task[None]") -> None:
        self._batches.discard(task)
        metrics.IN_FLIGHT.set(len(self._batches))
        self._dispatch()

    async def _compute(self, parts: Sequence[Part]) -> None:
        """Computes a batch and resolves what it completes. Never raises: every failure goes to its tickets."""
        try:
            batch = pad([(part.ticket.rows, part.indices) for part in parts], self._layout)
            started = self._clock()
            outputs = await self._engine.run(batch)
        except OutOfMemory:
            await self._split(parts)
        except SiftlineError as error:
            down = isinstance(error, Unavailable)
            metrics.BATCH_FAILURES.labels("engine_down" if down else "error").inc()
            _fail(parts, error)
            if down:
                self.suspend(str(error))
        except BaseException as error:
            _fail(parts, Unavailable("the server is shutting down"))
            if not isinstance(error, asyncio.CancelledError):
                raise
        else:
            self._last_success = self._clock()
            self._deliver(parts, batch, outputs, self._last_success - started)

    def _deliver(self, parts: Sequence[Part], batch: Matrices, outputs: NDArray[np.float32], seconds: float) -> None:
        rows, length = batch.shape
        overlap = max(1.0, len(self._batches) / self._limits.instances)
        self._load.observe(seconds / overlap, batch.tokens)
        metrics.COMPUTE_SECONDS.observe(seconds)
        metrics.BATCH_TOKENS.observe(rows * length)
        metrics.BATCH_ROWS.observe(rows)
        metrics.TOKENS_COMPUTED.labels("real").inc(batch.tokens)
        metrics.TOKENS_COMPUTED.labels("padding").inc(rows * length - batch.tokens)
        begin = 0
        for part in parts:
            end = begin + len(part.indices)
            part.ticket.deliver(part.indices, outputs[begin:end], seconds)
            begin = end

    async def _split(self, parts: Sequence[Part]) -> None:
        """Half by half; a single row that does not fit fails its request."""
        if sum(len(part.indices) for part in parts) == 1:
            metrics.BATCH_FAILURES.labels("out_of_memory").inc()
            wait = self.retry_after(self._waiting.total)
            _fail(parts, Overloaded("the engine has no memory for this text", retry_after=wait))
            return
        metrics.SPLITS.inc()
        for half in _halves(parts):
            await self._compute(half)


def _engine_down(reason: str) -> Unavailable:
    return Unavailable(reason, reason="ENGINE_DOWN")


def _fail(parts: Sequence[Part], error: Exception) -> None:
    for part in parts:
        part.ticket.fail(error)


def _halves(parts: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """Two lists of parts with about as many rows each."""
    middle = sum(len(part.indices) for part in parts) // 2
    left: list[Part] = []
    right: list[Part] = []
    for part in parts:
        cut = min(len(part.indices), middle)
        middle -= cut
        for side, indices in ((left, part.indices[:cut]), (right, part.indices[cut:])):
            if len(indices):
                lengths = part.ticket.rows.lengths[indices]
                side.append(Part(part.ticket, indices, int(lengths[-1]), int(lengths.sum())))
    return left, right
