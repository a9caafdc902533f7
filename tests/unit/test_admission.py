"""How many calls are let in follows what the parts behind can carry; tenants share them."""

import heapq
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.admission import Admission
from serving.errors import Overloaded

USUAL = 1000


@dataclass
class Clock:
    now: float = 1.0

    def __call__(self) -> float:
        return self.now


def admission(most: int, clock: Clock | None = None) -> Admission:
    return Admission("search", most, USUAL, clock or Clock())


def fill(limited: Admission, crowded: bool = False, tenant: str = "", tokens: int = 0) -> int:
    """Calls let in at once, each of which then tells what it met."""
    with ExitStack() as places:
        count = enter(limited, places, tenant, tokens)
        for _ in range(count):
            limited.learn(crowded=crowded)
    return count


def enter(limited: Admission, places: ExitStack, tenant: str = "", tokens: int = 0) -> int:
    count = 0
    with suppress(Overloaded):
        while True:
            places.enter_context(limited.admit(tenant, tokens))
            count += 1
    return count


def test_fewer_when_crowded_and_all_of_them_again_when_not() -> None:
    limited = admission(64)
    assert fill(limited, crowded=True) == 64
    assert fill(limited) == 51, "lowered once for all that were in flight together"
    assert [fill(limited) for _ in range(20)][-1] == 64


def test_never_none_at_all() -> None:
    clock = Clock()
    limited = admission(64, clock)
    for _ in range(100):
        clock.now += 60
        with limited.admit("", 0):
            limited.learn(crowded=True)
    assert fill(limited, crowded=True, tokens=100 * USUAL) == 4
    assert fill(admission(2), crowded=True) == 2


@pytest.mark.parametrize(("tokens", "calls"), [(0, 64), (USUAL, 64), (2 * USUAL, 32), (10**9, 4)])
def test_a_large_call_counts_as_several(tokens: int, calls: int) -> None:
    assert fill(admission(64), tokens=tokens) == calls


def test_a_tenant_alone_has_all_and_makes_room_once_another_wants_some() -> None:
    limited = admission(10)
    with ExitStack() as held_by_a, ExitStack() as held_by_b:
        assert enter(limited, held_by_a, "a") == 10
        with pytest.raises(Overloaded, match="10 are going on") as caught:
            limited.admit("b", 0).__enter__()
        assert caught.value.retry_after > 0
        held_by_a.pop_all().close()
        assert enter(limited, held_by_a, "a") == 5
        with pytest.raises(Overloaded, match="other tenants wait for a share"):
            limited.admit("a", 0).__enter__()
        assert enter(limited, held_by_b, "b") == 5


def test_no_place_is_kept_for_who_wants_more_than_its_share() -> None:
    limited = admission(10)
    with ExitStack() as held:
        of_a = [held.enter_context(ExitStack()) for _ in range(5)]
        for each in of_a:
            each.enter_context(limited.admit("a", 0))
        assert enter(limited, held, "b") == 5
        with pytest.raises(Overloaded):
            limited.admit("a", 0).__enter__()
        for each in of_a[:2]:
            each.close()
        assert enter(limited, held, "b") == 2


def test_a_share_that_nobody_comes_back_for_is_given_away() -> None:
    clock = Clock()
    limited = admission(10, clock)
    with ExitStack() as held:
        enter(limited, held, "a")
        enter(limited, held, "b")
    clock.now += 2
    assert fill(limited, tenant="a") == 10


@dataclass(frozen=True)
class Tenant:
    """So many callers, each with one call at a time that lasts `seconds` and is told to take `tokens`."""

    name: str
    callers: int
    seconds: float
    tokens: int


@dataclass
class Town:
    """Tenants' callers in virtual time. Who is let in comes back when the call ends, who is not when told to."""

    limited: Admission
    clock: Clock
    dice: random.Random
    events: list[tuple[float, int, Tenant]] = field(default_factory=list)
    calls: dict[int, AbstractContextManager[Admission]] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    refused_since: dict[int, float] = field(default_factory=dict)
    waits: dict[str, float] = field(default_factory=dict)
    longest_pause: float = 0.0
    served: Counter[str] = field(default_factory=Counter)

    def settle(self, tenant: Tenant, at: float) -> None:
        for _ in range(tenant.callers):
            heapq.heappush(self.events, (at + self.dice.random() * 0.01, len(self.events), tenant))

    def live(self, until: float) -> Iterator[None]:
        """Yields after each call that was let in."""
        while self.events and self.events[0][0] < until:
            self.clock.now, caller, tenant = heapq.heappop(self.events)
            if caller in self.calls:
                self.calls.pop(caller).__exit__(None, None, None)
                self.held[tenant.name] -= 1
                self.served[tenant.name] += 1
            yield from self._try(caller, tenant)

    def _try(self, caller: int, tenant: Tenant) -> Iterator[None]:
        call, now = self.limited.admit(tenant.name, tenant.tokens), self.clock.now
        try:
            call.__enter__()
        except Overloaded as error:
            self.refused_since.setdefault(caller, now)
            pause = error.retry_after * self.dice.uniform(1.0, 1.5)
            self.longest_pause = max(self.longest_pause, pause)
            heapq.heappush(self.events, (now + pause, caller, tenant))
            return
        self.calls[caller] = call
        self.held[tenant.name] += 1
        waited = now - self.refused_since.pop(caller, now)
        self.waits[tenant.name] = max(self.waits.get(tenant.name, 0.0), waited)
        heapq.heappush(self.events, (now + tenant.seconds * self.dice.uniform(0.5, 1.0), caller, tenant))
        yield


bursts = st.builds(
    Tenant,
    name=st.sampled_from(["x", "y", "z"]),
    callers=st.integers(5, 40),
    seconds=st.sampled_from([0.2, 1.5]),
    tokens=st.sampled_from([0, 3 * USUAL, 10**9]),
)


@settings(max_examples=40)
@given(
    st.lists(bursts, min_size=1, max_size=3, unique_by=lambda tenant: tenant.name),
    st.sampled_from([8, 20]),
    st.sampled_from([0.1, 1.0]),
    st.integers(0, 2**32),
)
def test_no_burst_keeps_out_who_wants_no_more_than_its_share(
    busy: list[Tenant], most: int, seconds: float, seed: int
) -> None:
    """Whatever the others do, a modest tenant is let in as soon as calls that were going on have ended."""
    clock = Clock()
    town = Town(admission(most, clock), clock, random.Random(seed))
    modest = Tenant("modest", most // (len(busy) + 1), seconds, 0)
    for tenant in busy:
        town.settle(tenant, at=1.0)
    town.settle(modest, at=3.0)
    for _ in town.live(until=8.0):
        assert sum(town.held.values()) <= most
    assert town.served["modest"] > 0
    assert town.waits["modest"] <= max(tenant.seconds for tenant in busy) + town.longest_pause + 1e-6


@settings(max_examples=20)
@given(st.sampled_from([0.1, 1.0]), st.integers(20, 100), st.integers(0, 2**32))
def test_tenants_that_want_everything_get_the_same(seconds: float, callers: int, seed: int) -> None:
    """Places over time, however many callers one has and however long its calls last."""
    clock = Clock()
    town = Town(admission(20, clock), clock, random.Random(seed))
    for tenant in (one := Tenant("one", 20, 0.1, 0), Tenant("other", callers, seconds, 0)):
        town.settle(tenant, at=1.0)
    held = [town.held[one.name] for _ in town.live(until=10.0) if clock.now > 3.0]
    assert 7 <= sum(held) / len(held) <= 13
