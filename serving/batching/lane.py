"""The waiting rows of one priority, kept by length bucket and, inside a bucket, by due time.

Due times are those of a fair share among the requests that wait (Demers, Keshav and Shenker, Fair Queueing, 1989).
The lane's time is the tokens that every waiting request would have got by now, had they been served in turn; a row
is due at its arrival plus the tokens of its own request in front of it. So a request of one row does not wait behind
the thousandth row of another, however many such there are, and nobody starves: what comes later is due later.
"""

import heapq
import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.batching.rows import Rows, take
from serving.batching.ticket import Ticket
from serving.errors import InvalidArgument


class Sorted(NamedTuple):
    """A request's rows, shortest first.

    indices: where each was in the request; lengths: of each; ahead: tokens in front of each, and, at the end, of all.
    """

    rows: Rows
    indices: NDArray[np.intp]
    lengths: list[int]
    ahead: list[int]


class Run(NamedTuple):
    """Rows first..last of one request, all in one bucket. Ordered by due time; a request's first rows win a tie."""

    due: int
    first: int
    number: int
    last: int
    bucket: int
    sorted: Sorted
    ticket: Ticket


class Part(NamedTuple):
    """Rows of one request that go into a batch: those at `indices` of the request of `ticket`, shortest first."""

    ticket: Ticket
    indices: NDArray[np.intp]
    rows: Rows


class Lane:
    """Waiting rows; `edges` are the upper bounds (tokens) of the length buckets, ascending.

    `expire` is called with a request that is found past its deadline; it must make the request forgotten.
    """

    def __init__(self, edges: tuple[int, ...], expire: Callable[[Ticket], None]) -> None:
        self.edges = edges
        self.tokens = 0
        self._expire = expire
        self._requests = 0
        self._time = 0
        self._served = 0  # tokens since the time last moved
        self._buckets: dict[int, list[Run]] = {}
        self._numbers = itertools.count()

    def add(self, ticket: Ticket) -> None:
        """Queues all rows of a request."""
        ascending = _sorted(ticket.rows)
        longest = ascending.lengths[-1]
        if longest > self.edges[-1]:
            raise InvalidArgument("rows", f"{longest} tokens in one; the limit is {self.edges[-1]}")
        number = next(self._numbers)
        for bucket, first, last in _runs(ascending.lengths, self.edges):
            run = Run(self._time + ascending.ahead[first], first, number, last, bucket, ascending, ticket)
            heapq.heappush(self._buckets.setdefault(bucket, []), run)
        self.tokens += ticket.waiting
        self._requests += 1

    def first_due(self, now: float) -> int | None:
        """The bucket that holds the row due first, None when nothing waits."""
        while self._buckets:
            # Lists compare by their first items, and no two runs are equal: this is the earliest head.
            earliest = min(self._buckets.values())[0]
            if self._head(earliest.bucket, now) is earliest:
                return earliest.bucket
        return None

    def take(self, bucket: int, room: Callable[[int], int], now: float) -> Part | None:
        """Rows of the run that is due first in a bucket, as many as there is `room` for rows as long as its edge."""
        run = self._head(bucket, now)
        if run is None:
            return None
        due, first, _, end, _, (rows, indices, _, ahead), ticket = run
        last = min(end, first + room(self.edges[bucket]))
        if last <= first:
            return None
        tokens = ahead[last] - ahead[first]
        if last < end:
            heapq.heapreplace(self._buckets[bucket], run._replace(due=due + tokens, first=last))
        else:
            self._pop(bucket)
        self._serve(ticket, tokens, now)
        return Part(ticket, indices[first:last], rows.part(first, last, ahead[first], ahead[last]))

    def forget(self, ticket: Ticket) -> None:
        """What a request still has waiting no longer counts. Its runs go when they come to the front."""
        if ticket.waiting:
            self.tokens -= ticket.waiting
            self._requests -= 1
            ticket.waiting = 0

    def drain(self) -> list[Ticket]:
        """Empties the lane; the requests that had rows in it."""
        tickets = {id(run.ticket): run.ticket for heap in self._buckets.values() for run in heap if run.ticket.waiting}
        self._buckets.clear()
        for ticket in tickets.values():
            self.forget(ticket)
        return list(tickets.values())

    def _head(self, bucket: int, now: float) -> Run | None:
        """The bucket's run that is due first; runs that nobody waits for any more are dropped on the way."""
        while heap := self._buckets.get(bucket):
            ticket = heap[0].ticket
            if ticket.waiting and ticket.live:
                if not ticket.expired(now):
                    return heap[0]
                self._expire(ticket)
            self._pop(bucket)
        return None

    def _pop(self, bucket: int) -> None:
        heapq.heappop(self._buckets[bucket])
        if not self._buckets[bucket]:
            del self._buckets[bucket]

    def _serve(self, ticket: Ticket, tokens: int, now: float) -> None:
        turns, self._served = divmod(self._served + tokens, self._requests)
        self._time += turns
        self.tokens -= tokens
        ticket.waiting -= tokens
        ticket.queued = now - ticket.admitted
        if not ticket.waiting:
            self._requests -= 1


_ONLY = np.zeros(1, np.intp)


def _sorted(rows: Rows) -> Sorted:
    if len(rows) == 1:
        return Sorted(rows, _ONLY, [rows.tokens], [0, rows.tokens])
    indices = np.argsort(rows.lengths, kind="stable")
    ascending = take(rows, indices)
    lengths: list[int] = ascending.lengths.tolist()
    return Sorted(ascending, indices, lengths, [0, *itertools.accumulate(lengths)])


def _runs(lengths: list[int], edges: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """(bucket, first, last) of ascending lengths that share a bucket."""
    first = 0
    while first < len(lengths):
        bucket = bisect_left(edges, lengths[first])
        last = bisect_left(lengths, edges[bucket] + 1, first)
        yield bucket, first, last
        first = last
