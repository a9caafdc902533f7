"""Admission: so many calls of a kind at a time, and no queue: who is not let in learns when to come back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.metrics import ADMITTED, IN_FLIGHT, REFUSED
from serving.errors import Overloaded

_SMOOTHING = 0.1  # share of the newest call in the average time of one
_LEAST = 4
_LESS, _MORE = 0.8, 4.0  # lowered by this factor; raised by so many in the time of one call


class Admission:
    """At most `most` calls of `kind` at a time, fewer while those that are let in overload what is behind.

    Additive increase, multiplicative decrease (Chiu and Jain, 1989): more than the parts behind can carry would only
    cost them the time that they need for the others.
    """

    def __init__(self, kind: str, most: int) -> None:
        self._kind = kind
        self._most = most
        self._limit = float(most)
        self._in_flight = 0
        self._seconds = 0.1
        self._lowered = 0.0
        ADMITTED.labels(kind).set(most)

    @contextmanager
    def admit(self) -> Iterator["Admission"]:
        """Holds a place. Raises Overloaded, with the average time of a call as the time after which to try again."""
        if self._in_flight >= int(self._limit):
            REFUSED.labels(self._kind).inc()
            limit = f"{self._kind}: {int(self._limit)} are going on, which is the limit"
            raise Overloaded(limit, retry_after=self._seconds)
        self._in_flight += 1
        started = time.monotonic()
        IN_FLIGHT.labels(self._kind).set(self._in_flight)
        try:
            yield self
        finally:
            self._in_flight -= 1
            self._seconds += _SMOOTHING * (time.monotonic() - started - self._seconds)
            IN_FLIGHT.labels(self._kind).set(self._in_flight)

    def learn(self, *, crowded: bool) -> None:
        """Of a call that was let in: whether a part behind had too much to do for it."""
        now = time.monotonic()
        if not crowded and self._in_flight >= self._limit / 2:
            self._limit = min(self._most, self._limit + _MORE / self._limit)
        elif crowded and now - self._lowered > self._seconds:  # once for all that were in flight together
            self._lowered = now
            self._limit = max(min(_LEAST, self._most), _LESS * min(self._limit, self._in_flight))
        ADMITTED.labels(self._kind).set(int(self._limit))
