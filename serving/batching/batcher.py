"""Admission, dispatch and faults of the batcher. No timer anywhere: every step follows an arrival or a result."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from serving import tracing
from serving.batching import metrics
from serving.batching.admission import Admission
from serving.batching.engine import BatchLimits, Engine, OutOfMemory
from serving.batching.former import Former
from serving.batching.lane import Lane, Part
from serving.batching.layout import Batch, Layout
from serving.batching.rows import Rows, take
from serving.batching.speed import Speed
from serving.batching.ticket import Completed, Priority, Ticket
from serving.errors import DeadlineExceeded, Internal, Overloaded, SiftlineError, Unavailable

log = logging.getLogger(__name__)


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
        self._lanes = {priority: Lane(limits.edges, self._expire) for priority in Priority}
        self._former = Former(self._lanes, limits, layout.mixes_lengths)
        self._speed = Speed(limits)
        self._admission = Admission(limits, self._lanes, self._speed)
        self._workers: set[asyncio.Task[None]] = set()
        self._woken = False  # a worker has been started, but has not run yet
        self._in_flight = 0
        self._down: str | None = None
        self._last_success = clock()

    async def submit(
        self,
        rows: Rows,
        priority: Priority = Priority.INTERACTIVE,
        deadline: float | None = None,
        token_outputs: tuple[str, ...] = (),
    ) -> Completed:
        """Computes all rows; `deadline` in the clock's seconds. `token_outputs`: outputs per token, wanted besides.

        Raises Overloaded, DeadlineExceeded, Unavailable, Internal, or InvalidArgument for what can never be computed.
        """
        ticket = self._admit(rows, priority, deadline, token_outputs)
        try:
            completed = await ticket.future
        finally:
            if ticket.waiting:  # the caller is gone: whoever else ends a ticket has it forgotten first
                self._drop(ticket, "cancelled")
        metrics.QUEUE_SECONDS[priority].observe(completed.queue_seconds, tracing.exemplar())
        waited = self._clock() - ticket.admitted
        tracing.passed(waited, queue=completed.queue_seconds, compute=completed.compute_seconds)
        return completed

    @property
    def limits(self) -> BatchLimits:
        return self._limits

    @property
    def last_success(self) -> float:
        """Clock time of the last batch that the engine answered."""
        return self._last_success

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
        self._show()

    def resume(self) -> None:
        self._down = None

    async def close(self) -> None:
        """Fails everything that waits or is being computed, and all that comes."""
        self.suspend("the server is shutting down")
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def _admit(self, rows: Rows, priority: Priority, deadline: float | None, token_outputs: tuple[str, ...]) -> Ticket:
        if self._down is not None:
            metrics.REFUSED[priority, "engine_down"].inc()
            raise _engine_down(self._down)
        now = self._clock()
        self._admission.check(rows, priority, deadline, now)
        future = asyncio.get_running_loop().create_future()
        ticket = Ticket(rows, priority, deadline, now, future, token_outputs)
        self._lanes[priority].add(ticket)
        self._wake()
        return ticket

    def _wake(self) -> None:
        """One more worker, if there may be one. It runs after all that is ready to run: what comes together, it takes.

        A worker ends when nothing waits, in the same step in which it sees that: no arrival falls between.
        """
        if not self._woken and len(self._workers) < self._limits.in_flight:
            self._woken = True
            loop = asyncio.get_running_loop()
            # In a context of its own: what it computes is not for the caller alone that woke it.
            self._workers.add(loop.create_task(self._work(), context=Context()))

    async def _work(self) -> None:
        """Computes batches, one after the other, while something waits."""
        self._woken = False
        try:
            while parts := self._former.form(self._limits.instances - self._in_flight, self._clock()):
                self._in_flight += 1
                self._wake()
                self._show()
                try:
                    await self._compute(parts)
                finally:
                    self._in_flight -= 1
        finally:
            self._workers.discard(asyncio.current_task())
            self._show()

    def _show(self) -> None:
        metrics.IN_FLIGHT.set(self._in_flight)
        for priority, lane in self._lanes.items():
            metrics.QUEUED_TOKENS[priority].set(lane.tokens)

    async def _compute(self, parts: Sequence[Part]) -> None:
        """Computes a batch and resolves what it completes. Every failure goes to its tickets, and to no other's."""
        try:
            await self._run(parts)
        except OutOfMemory:
            await self._split(parts)
        except Unavailable as error:
            self._fail(parts, error, "engine_down")
            self.suspend(str(error))
        except SiftlineError as error:
            self._fail(parts, error, "error")
        except asyncio.CancelledError:
            self._fail(parts, Unavailable("the server is shutting down"))
            raise
        except Exception:
            log.exception("a batch failed")
            self._fail(parts, Internal("the batch could not be computed"), "error")

    async def _run(self, parts: Sequence[Part]) -> None:
        started = self._clock()
        batch = self._layout.batch([part.rows for part in parts], _token_outputs(parts))
        with tracing.together("batch", (part.ticket.trace for part in parts)):
            outputs = await self._engine.run(batch)
        if len(outputs[0]) != batch.rows:
            raise Internal(f"the inference engine answered {len(outputs[0])} rows of {batch.rows}")
        self._last_success = self._clock()
        self._speed.observe(parts[0].ticket.priority, batch.tokens, started, self._last_success)
        _count(batch, self._last_success - started)
        _deliver(parts, self._layout, batch, outputs, self._last_success - started)

    async def _split(self, parts: Sequence[Part]) -> None:
        """Half by half; a single row that does not fit fails its request."""
        if sum(len(part.indices) for part in parts) > 1:
            metrics.SPLITS.inc()
            for half in _halves(parts):
                await self._retry([part for part in half if self._wanted(part.ticket)])
            return
        priority = parts[0].ticket.priority
        wait = self._admission.retry_after(priority, self._lanes[priority].tokens)
        self._fail(parts, Overloaded("the engine has no memory for this text", retry_after=wait), "out_of_memory")

    async def _retry(self, parts: Sequence[Part]) -> None:
        if self._down is not None:
            self._fail(parts, _engine_down(self._down))
        elif parts:
            await self._compute(parts)

    def _wanted(self, ticket: Ticket) -> bool:
        """Whether someone still waits for a request; one past its deadline is told so."""
        if ticket.live and ticket.expired(self._clock()):
            self._expire(ticket)
        elif ticket.future.cancelled():
            self._drop(ticket, "cancelled")
        return ticket.live

    def _expire(self, ticket: Ticket) -> None:
        ticket.fail(DeadlineExceeded("the deadline passed while the request waited"))
        self._drop(ticket, "expired")

    def _drop(self, ticket: Ticket, reason: str) -> None:
        if not ticket.dropped:
            metrics.DROPPED[ticket.priority, reason].inc()
        ticket.dropped = True
        self._lanes[ticket.priority].forget(ticket)
        self._show()

    def _fail(self, parts: Iterable[Part], error: SiftlineError, reason: str | None = None) -> None:
        """Fails the requests of a batch, with what they still have waiting."""
        if reason is not None:
            metrics.BATCH_FAILURES[reason].inc()
        for part in parts:
            part.ticket.fail(error)
            self._lanes[part.ticket.priority].forget(part.ticket)


def _engine_down(reason: str) -> Unavailable:
    return Unavailable(reason, reason="ENGINE_DOWN")


def _count(batch: Batch, seconds: float) -> None:
    metrics.COMPUTE_SECONDS.observe(seconds)
    metrics.BATCH_TOKENS.observe(batch.computed)
    metrics.BATCH_ROWS.observe(batch.rows)
    metrics.REAL_TOKENS.inc(batch.tokens)
    metrics.PADDING_TOKENS.inc(batch.computed - batch.tokens)


def _token_outputs(parts: Iterable[Part]) -> tuple[str, ...]:
    """All that any request of a batch wants: most want none."""
    return tuple(dict.fromkeys(chain.from_iterable(part.ticket.token_outputs for part in parts)))


def _deliver(
    parts: Iterable[Part], layout: Layout, batch: Batch, outputs: tuple[NDArray[np.float32], ...], seconds: float
) -> None:
    per_token = zip(batch.token_outputs, outputs[1:], strict=True)
    of_tokens = {name: layout.unpack(values, batch.lengths) for name, values in per_token}
    row = token = 0
    for part in parts:
        rows, tokens = slice(row, row + len(part.indices)), slice(token, token + part.rows.tokens)
        wanted = [of_tokens[name][tokens] for name in part.ticket.token_outputs]
        part.ticket.deliver(part.indices, outputs[0][rows], wanted, seconds)
        row, token = rows.stop, tokens.stop


def _halves(parts: Iterable[Part]) -> tuple[list[Part], list[Part]]:
    """Two lists of parts with about as many rows each."""
    singles = [
        Part(ticket, indices[i : i + 1], take(rows, np.arange(i, i + 1)))
        for ticket, indices, rows in parts
        for i in range(len(indices))
    ]
    return singles[: len(singles) // 2], singles[len(singles) // 2 :]
