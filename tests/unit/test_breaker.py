"""The circuit breaker, on a clock of our own."""

import pytest

from gateway import breaker
from gateway.breaker import Breaker


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(breaker.time, "monotonic", lambda: now[0])
    return now


def test_opens_tries_once_a_pause_and_closes(clock: list[float]) -> None:
    circuit = Breaker(threshold=2, first=1.0, longest=3.0)
    assert circuit.allows()
    assert not circuit.failed()
    assert circuit.allows()
    assert circuit.failed()
    assert circuit.open
    assert not circuit.allows()
    clock[0] += 1.0
    assert circuit.allows()
    assert not circuit.allows()  # one try only
    circuit.failed()
    clock[0] += 1.9
    assert not circuit.allows()
    clock[0] += 0.1
    assert circuit.allows()
    circuit.succeeded()
    assert circuit.allows()
    assert not circuit.open


def test_a_success_between_failures_keeps_it_closed() -> None:
    circuit = Breaker(threshold=2)
    for _ in range(5):
        circuit.failed()
        circuit.succeeded()
    assert circuit.allows()


def test_the_pause_has_an_end(clock: list[float]) -> None:
    circuit = Breaker(threshold=1, first=1.0, longest=3.0)
    for _ in range(10):
        circuit.failed()
    clock[0] += 3.0
    assert circuit.allows()
