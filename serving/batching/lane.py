"""The waiting rows of one priority, kept by length bucket and, inside a bucket, by due time.

A row is due when it arrived plus the time that the rows of its own request in front of it take. So a request
of one row does not wait behind the thousandth row of another that came a moment earlier, and nobody starves:
arrivals only ever come due later.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.batching.ticket import Ticket


class Run(NamedTuple):
    """Rows of one request in one bucket, shortest first; ordered by due time, then arrival."""

    due: float
    number: int
    ticket: Ticket
    indices: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one request that go into a batch: row `indices` of `ticket`, `length` tokens the longest."""

    ticket: Ticket
    indices: NDArray[np.intp]
    length: int
    tokens: int


class Lane:
    """Waiting rows; `edges` are the upper bounds (tokens) of the length buckets, ascending."""

    def __init__(self, edges: tuple[int, ...], discard: Callable[[Ticket], bool]) -> None:
        self.edges = edges
        self._edges = np.asarray(edges)
        self._discard = discard
        self._buckets: dict[int, list[Run]] = {}
        self._numbers = itertools.count()

    def add(self, ticket: Ticket, now: float, seconds_per_token: float) -> None:
        """Queues all rows of a request."""
        lengths = ticket.rows.lengths
        order = np.argsort(lengths, kind="stable")
        ahead = np.cumsum(lengths[order]) - lengths[order]
        buckets = np.searchsorted(self._edges, lengths[order])
        firsts = np.flatnonzero(np.diff(buckets, prepend=-1))
        for first, last in zip(firsts, [*firsts[1:], len(order)], strict=True):
            due = now + float(ahead[first]) * seconds_per_token
            run = Run(due, next(self._numbers), ticket, order[first:last])
            heapq.heappush(self._buckets.setdefault(int(buckets[first]), []), run)

    def head(self, bucket: int) -> Run | None:
        """The bucket's run that is due first; runs that nobody waits for any more are dropped on the way."""
        heap = self._buckets.get(bucket)
        while heap:
            if not self._discard(heap[0].ticket):
                return heap[0]
            heapq.heappop(heap)
        self._buckets.pop(bucket, None)
        return None

    def first_due(self) -> int | None:
        """The bucket that holds the row due first, None when nothing waits."""
        heads = [(run.due, run.number, bucket) for bucket in list(self._buckets) if (run := self.head(bucket))]
        return min(heads)[2] if heads else None

    def take(self, bucket: int, room: int, seconds_per_token: float) -> Part | None:
        """Up to `room` rows of the run that is due first in a bucket."""
        run = self.head(bucket)
        if run is None or room <= 0:
            return None
        taken, left = run.indices[:room], run.indices[room:]
        lengths = run.ticket.rows.lengths[taken]
        tokens = int(lengths.sum())
        if len(left):
            later = Run(run.due + tokens * seconds_per_token, run.number, run.ticket, left)
            heapq.heapreplace(self._buckets[bucket], later)
        else:
            heapq.heappop(self._buckets[bucket])
        return Part(run.ticket, taken, int(lengths[-1]), tokens)

    def drain(self) -> list[Ticket]:
        """Empties the lane; the requests that had rows in it."""
        tickets = {id(run.ticket): run.ticket for heap in self._buckets.values() for run in heap}
        self._buckets.clear()
        return list(tickets.values())
