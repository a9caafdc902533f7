"""What a soak calls growth."""

from dataclasses import replace

import pytest

from tests.faults.growth import Growth, Sample, growth

BEFORE = Sample(resident=100, files=20, threads=10, segments=2, tasks=7)


def grown(allowed: float = 0.02, **now: float) -> Growth:
    """A third of the time as it was, a third in between, a third as it is now; the last sample is of a moment only."""
    between, after = replace(BEFORE, files=25), replace(BEFORE, **now)
    return growth("one", [BEFORE, BEFORE, BEFORE, between, between, between, after, after, BEFORE], allowed)


@pytest.mark.parametrize(
    "now", [{"resident": 102.1}, {"files": 23}, {"threads": 13}, {"segments": 3}, {"tasks": 28}], ids=str
)
def test_growth_is_told(now: dict[str, float]) -> None:
    assert grown(**now).grew
    assert "GREW" in grown(**now).line()


@pytest.mark.parametrize(
    "now", [{}, {"resident": 101.9}, {"files": 22}, {"threads": 12}, {"tasks": 27}, {"segments": 0}], ids=str
)
def test_what_pools_and_calls_in_flight_explain_is_none(now: dict[str, float]) -> None:
    assert not grown(**now).grew
    assert "GREW" not in grown(**now).line()


def test_more_memory_may_be_allowed() -> None:
    assert not grown(resident=105, allowed=0.06).grew
    assert grown(resident=107, allowed=0.06).grew
