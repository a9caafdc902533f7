"""Admission: so many calls of a kind at a time, and no queue: who is not let in learns when to come back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.metrics import IN_FLIGHT, REFUSED
from serving.errors import Overloaded

_SMOOTHING = 0.1  # share of the newest call in the average time of one


class Admission:
    """At most `limit` calls of `kind` at a time."""

    def __init__(self, kind: str, limit: int) -> None:
        self._kind = kind
        self._limit = limit
        self._in_flight = 0
        self._seconds = 0.1

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Holds a place. Raises Overloaded, with the average time of a call as the time after which to try again."""
        if self._in_flight >= self._limit:
            REFUSED.labels(self._kind).inc()
            raise Overloaded(f"{self._kind}: {self._limit} are going on, which is the limit", retry_after=self._seconds)
        self._in_flight += 1
        started = time.monotonic()
        IN_FLIGHT.labels(self._kind).set(self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= 1
            self._seconds += _SMOOTHING * (time.monotonic() - started - self._seconds)
            IN_FLIGHT.labels(self._kind).set(self._in_flight)
