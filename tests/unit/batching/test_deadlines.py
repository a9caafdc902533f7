"""Work that nobody waits for any more never reaches the engine, is counted, and hurts nobody."""

import asyncio

import numpy as np
import pytest

from serving.batching import Priority, metrics
from serving.errors import DeadlineExceeded, Overloaded
from tests.unit.batching.simulation import (
    BATCH_SECONDS,
    BATCH_TOKENS,
    LONGEST,
    SECONDS_PER_TOKEN,
    FakeEngine,
    expected,
    make,
    now,
    request,
    simulate,
    waiting,
)


class Counted:
    """How often requests of a lane were dropped since."""

    def __init__(self, reason: str, priority: Priority = Priority.INTERACTIVE) -> None:
        self._counter = metrics.DROPPED[priority, reason]
        self._before = self._counter._value.get()

    @property
    def times(self) -> float:
        return float(self._counter._value.get() - self._before)


def test_deadline_passed_on_arrival() -> None:
    async def world() -> None:
        expired, engine = Counted("expired"), FakeEngine()
        with pytest.raises(DeadlineExceeded):
            await make(engine).submit(request(10), deadline=now())
        assert expired.times == 1
        assert engine.batches == []

    simulate(world())


@pytest.mark.parametrize("priority", list(Priority))
def test_deadline_passes_in_the_queue(priority: Priority) -> None:
    async def world() -> None:
        expired, engine = Counted("expired", priority), FakeEngine(seconds_per_token=1000 * SECONDS_PER_TOKEN)
        batcher = make(engine)  # believes the engine to be faster than it is
        ahead = asyncio.create_task(batcher.submit(request(*[LONGEST] * 20), priority))
        await asyncio.sleep(0.01)
        rows = request(50, 500, 7)
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(rows, priority, deadline=now() + 200 * BATCH_SECONDS)
        await ahead
        assert not engine.saw(rows)
        assert expired.times == 1
        assert waiting(batcher) == 0

    simulate(world())


def test_deadline_passes_between_two_batches_of_a_request() -> None:
    async def world() -> None:
        expired, engine = Counted("expired"), FakeEngine(instances=1)
        with pytest.raises(DeadlineExceeded):
            await make(engine, in_flight=2).submit(request(*[LONGEST] * 20), deadline=2.5 * BATCH_SECONDS)
        assert expired.times == 1
        await asyncio.sleep(5 * BATCH_SECONDS)
        assert len(engine.batches) == 4, "two answered, two in the engine, none of the other six"

    simulate(world())


def test_cancelled_in_the_queue() -> None:
    async def world() -> None:
        cancelled, engine = Counted("cancelled"), FakeEngine()
        batcher = make(engine)
        ahead = asyncio.create_task(batcher.submit(request(*[LONGEST] * 20)))
        await asyncio.sleep(0.01)
        rows = request(50, 500, 7)
        caller = asyncio.create_task(batcher.submit(rows))
        await asyncio.sleep(0.01)
        held = waiting(batcher)
        caller.cancel()
        await asyncio.wait([caller])
        assert waiting(batcher) == held - 557, "its room is free at once"
        await ahead
        assert not engine.saw(rows)
        assert cancelled.times == 1

    simulate(world())


def test_cancelled_in_the_step_in_which_a_batch_leaves() -> None:
    """The future is done, but its caller has not run yet: nothing of it may be dispatched, and it counts once."""

    async def world() -> None:
        cancelled, engine = Counted("cancelled"), FakeEngine()
        batcher = make(engine)
        rows = request(10)
        caller = asyncio.create_task(batcher.submit(rows))
        asyncio.get_running_loop().call_soon(caller.cancel)
        await asyncio.wait([caller])
        await asyncio.sleep(1)
        assert not engine.saw(rows)
        assert cancelled.times == 1
        assert waiting(batcher) == 0

    simulate(world())


def test_cancelled_in_mid_batch() -> None:
    """TensorRT-LLM's batcher sets the result of a future that is done, and stops for everybody."""

    async def world() -> None:
        cancelled, engine = Counted("cancelled"), FakeEngine(instances=1)
        batcher = make(engine)
        rows = [request(50) for _ in range(10)]
        callers = [asyncio.create_task(batcher.submit(each)) for each in rows]
        await asyncio.sleep(BATCH_SECONDS / 20)
        assert len(engine.batches) == 1
        for caller in callers[::2]:
            caller.cancel()
        await asyncio.wait(callers)
        for caller, each in zip(callers[1::2], rows[1::2], strict=True):
            np.testing.assert_array_equal(caller.result().outputs, expected(each))
        assert cancelled.times == 0, "it was computed"
        await batcher.submit(request(5))

    simulate(world())


def test_cancelled_half_way_through_its_rows() -> None:
    async def world() -> None:
        cancelled, engine = Counted("cancelled"), FakeEngine(instances=1)
        batcher = make(engine)
        caller = asyncio.create_task(batcher.submit(request(*[LONGEST] * 40)))
        await asyncio.sleep(1.5 * BATCH_SECONDS)
        sent = len(engine.batches)
        caller.cancel()
        await asyncio.sleep(5 * BATCH_SECONDS)
        assert len(engine.batches) == sent < 40 * LONGEST / BATCH_TOKENS
        assert cancelled.times == 1
        assert waiting(batcher) == 0

    simulate(world())


def test_three_times_too_much_work_costs_nothing_of_what_can_be_done() -> None:
    """Without looking ahead, the queue would hold what is late by a little, half of it computed."""
    rows, length, seconds, patience = 20, 128, 30, 2.0
    capacity = 2 / SECONDS_PER_TOKEN / (rows * length)  # requests a second

    async def world() -> int:
        batcher = make(FakeEngine(instances=2))

        async def ask(at: float) -> bool:
            await asyncio.sleep(at)
            try:
                await batcher.submit(request(*[length] * rows), deadline=now() + patience)
            except (Overloaded, DeadlineExceeded):
                return False
            return now() <= seconds

        count = int(3 * capacity * seconds)
        return sum(await asyncio.gather(*(ask(number / 3 / capacity) for number in range(count))))

    assert simulate(world()) > 0.9 * capacity * seconds
