"""Admission: so many calls of a kind at a time, and no queue: who is not let in learns when to come back."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.metrics import ADMITTED, IN_FLIGHT, REFUSED
from serving.errors import Overloaded

_SMOOTHING = 0.1  # share of the newest call in the average time of one
_LEAST = 4
_LESS, _MORE = 0.8, 4.0  # lowered by this factor; raised by so many in the time of one call
_LARGEST = 4  # a call takes a quarter of all places at most: it would hardly ever find more of them free
_ON_THE_WAY_S = 0.1


class Admission:
    """At most `most` calls of `kind` at a time, fewer while those that are let in overload what is behind.

    Additive increase, multiplicative decrease (Chiu and Jain, 1989): more than the parts behind can carry would only
    cost them the time that they need for the others. A call with many times the `usual` tokens takes as many places.

    A tenant may have all places while no other wants them. One that was refused with less than its equal share of them
    is expected back, and until then those with more than theirs get no further ones.
    """

    def __init__(self, kind: str, most: int, usual: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._kind = kind
        self._most = most
        self._usual = usual
        self._clock = clock
        self._limit = float(most)
        self._held = Counter[str]()  # places by tenant
        self._expected: dict[str, float] = {}  # tenants that were refused, and until when they may come back
        self._seconds = 0.1
        self._lowered = 0.0
        ADMITTED.labels(kind).set(most)

    @contextmanager
    def admit(self, tenant: str, tokens: int) -> Iterator["Admission"]:
        """Holds places. Raises Overloaded, with the average time of a call as the time after which to try again."""
        started = self._clock()
        places = self._places(tenant, tokens, started)
        self._held[tenant] += places
        IN_FLIGHT.labels(self._kind).inc()
        try:
            yield self
        finally:
            self._held[tenant] -= places
            self._held += Counter()  # forgets tenants without a place
            self._seconds += _SMOOTHING * (self._clock() - started - self._seconds)
            IN_FLIGHT.labels(self._kind).dec()

    def learn(self, *, crowded: bool) -> None:
        """Of a call that was let in: whether a part behind had too much to do for it."""
        now, held = self._clock(), self._held.total()
        if not crowded and held >= self._limit / 2:
            self._limit = min(self._most, self._limit + _MORE / self._limit)
        elif crowded and now - self._lowered > self._seconds:  # once for all that were in flight together
            self._lowered = now
            self._limit = max(min(_LEAST, self._most), _LESS * min(self._limit, held))
        ADMITTED.labels(self._kind).set(int(self._limit))

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Learns from how a block ends that calls a part behind: Overloaded is that it had too much to do."""
        try:
            yield
        except Overloaded:
            self.learn(crowded=True)
            raise
        self.learn(crowded=False)

    def _places(self, tenant: str, tokens: int, now: float) -> int:
        """That the call is to have, if it may."""
        self._expected = {name: until for name, until in self._expected.items() if until > now}
        held, limit = self._held[tenant], int(self._limit)
        sharers = len({tenant, *self._held, *self._expected})
        places = max(1, min(tokens // self._usual, limit // max(sharers, _LARGEST)))
        modest = not held or held + places <= limit / sharers  # one call is nobody's too many
        full = self._held.total() + places > limit
        if not full and (modest or self._expected.keys() <= {tenant}):
            return places
        if modest:
            # over HTTP it will come after whole seconds
            self._expected[tenant] = now + max(2 * self._seconds, math.ceil(self._seconds)) + _ON_THE_WAY_S
        REFUSED.labels(self._kind).inc()
        what = "are going on, which is the limit" if full else "may go on, and other tenants wait for a share of them"
        raise Overloaded(f"{self._kind}: {limit} {what}", retry_after=self._seconds)


class Lanes:
    """Admission to a service, which has two lanes: bulk calls take no place of those that someone waits for."""

    def __init__(self, kind: str, most: int, usual: int) -> None:
        self._interactive = Admission(kind, most, usual)
        self._bulk = Admission(f"{kind}_bulk", most, usual)

    @contextmanager
    def admit(self, tenant: str, tokens: int, *, bulk: bool) -> Iterator[None]:
        """As Admission, for a block that calls the service."""
        lane = self._bulk if bulk else self._interactive
        with lane.admit(tenant, tokens), lane.learning():
            yield
