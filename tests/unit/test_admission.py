"""How many calls are let in follows what the parts behind can carry."""

from contextlib import ExitStack, suppress

import pytest

from gateway.admission import Admission
from serving.errors import Overloaded


def fill(admission: Admission, crowded: bool) -> int:
    """Calls let in at once, each of which then tells what it met."""
    with ExitStack() as places:
        count = 0
        with suppress(Overloaded):
            while True:
                places.enter_context(admission.admit())
                count += 1
        for _ in range(count):
            admission.learn(crowded=crowded)
    return count


def test_fewer_when_crowded_and_all_of_them_again_when_not() -> None:
    admission = Admission("search", 64)
    assert fill(admission, crowded=True) == 64
    assert fill(admission, crowded=False) == 51, "lowered once for all that were in flight together"
    assert [fill(admission, crowded=False) for _ in range(20)][-1] == 64


def test_never_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1_000_000, 60))
    monkeypatch.setattr("gateway.admission.time.monotonic", lambda: float(next(now)))
    admission = Admission("search", 64)
    for _ in range(100):
        with admission.admit():
            admission.learn(crowded=True)
    assert fill(admission, crowded=True) == 4
    assert fill(Admission("upsert", 2), crowded=True) == 2
