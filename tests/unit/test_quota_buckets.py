"""Token buckets: what is let in over time is what the limits say, whatever the sizes of the calls."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.quota.buckets import Buckets
from gateway.quota.limits import REQUESTS, TOKENS, Limits


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_second_of_requests_at_once_and_then_evenly() -> None:
    clock, limits = Clock(), Limits(requests_per_second=4)
    buckets = Buckets(clock)
    assert [buckets.take("k", limits.charges(0)) for _ in range(4)] == [None] * 4
    refused = buckets.take("k", limits.charges(0))
    assert refused is not None
    assert (refused.kind, refused.wait) == (REQUESTS, 0.25)
    assert buckets.take("other", limits.charges(0)) is None
    clock.now += refused.wait
    assert buckets.take("k", limits.charges(0)) is None
    assert buckets.take("k", limits.charges(0)) is not None


def test_a_refused_call_takes_of_neither_bucket() -> None:
    buckets, limits = Buckets(Clock()), Limits(requests_per_second=1, tokens_per_minute=60)
    assert buckets.take("k", Limits(tokens_per_minute=60).charges(50)) is None
    refused = buckets.take("k", limits.charges(20))
    assert refused is not None
    assert refused.kind == TOKENS
    assert buckets.take("k", limits.charges(10)) is None  # the request that was refused before did not count


def test_less_than_one_a_second_lets_one_in() -> None:
    clock, limits = Clock(), Limits(requests_per_second=0.1)
    buckets = Buckets(clock)
    assert buckets.take("k", limits.charges(0)) is None
    refused = buckets.take("k", limits.charges(0))
    assert refused is not None
    assert refused.wait == 10.0


def test_corrections_take_more_than_there_is_and_give_back() -> None:
    clock, limits = Clock(), Limits(tokens_per_minute=600)
    buckets = Buckets(clock)
    assert buckets.take("k", limits.charges(0)) is None
    buckets.correct("k", limits.tokens(1200))
    refused = buckets.take("k", limits.charges(1))
    assert refused is not None
    assert abs(refused.wait - 60.1) < 1e-6
    buckets.correct("k", limits.tokens(-1200))
    assert buckets.take("k", limits.charges(600)) is None


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 300)), max_size=60))
def test_never_more_than_a_bucket_and_what_flows_in(calls: list[tuple[float, int]]) -> None:
    """And whoever waits as long as it is told to gets in."""
    clock, limits = Clock(), Limits(tokens_per_minute=100)
    buckets, taken, begin = Buckets(clock), 0, Clock.now
    for pause, tokens in calls:
        clock.now += pause
        if refused := buckets.take("k", limits.charges(tokens)):
            clock.now += refused.wait
            assert buckets.take("k", limits.charges(tokens)) is None
        taken += tokens
        assert taken <= max(100, tokens) + 100 * (clock.now - begin) / 60 + 0.01
