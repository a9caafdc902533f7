"""Interactive work stays quick beside any amount of bulk work; bulk work goes on beside any amount of interactive."""

import asyncio
from collections.abc import Iterator

import pytest

from serving.batching import Batcher, Priority
from tests.unit.batching.simulation import (
    BATCH_SECONDS,
    FakeEngine,
    Latencies,
    closed_loop,
    make,
    open_loop,
    request,
    simulate,
    text_lengths,
    waiting,
)


async def keep_busy(batcher: Batcher, priority: Priority, lengths: Iterator[list[int]], tokens: int = 10_000) -> None:
    """Holds a lane at `tokens` waiting or more, until cancelled."""
    async with asyncio.TaskGroup() as group:
        while True:
            while waiting(batcher, priority) < tokens:
                group.create_task(batcher.submit(request(*next(lengths)), priority))
                await asyncio.sleep(0)
            await asyncio.sleep(BATCH_SECONDS / 2)


def texts(rows: int, seed: int) -> Iterator[list[int]]:
    while True:
        lengths = text_lengths(rows * 50, seed)
        yield from (lengths[i : i + rows] for i in range(0, len(lengths), rows))
        seed += 1000


async def stop(task: "asyncio.Task[None]") -> None:
    """Ends one that keeps a lane busy; it must still have been at it."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(("instances", "in_flight"), [(1, 1), (1, 2), (2, 3), (4, 5)])
@pytest.mark.parametrize("short", [True, False])
def test_interactive_beside_saturating_bulk(instances: int, in_flight: int, short: bool) -> None:
    """p99 within twice the unloaded one plus the time of one batch."""

    async def p99(loaded: bool) -> float:
        engine = FakeEngine(instances=instances)
        batcher = make(engine, in_flight=in_flight)
        bulk = asyncio.create_task(keep_busy(batcher, Priority.BULK, texts(32, 5))) if loaded else None
        await asyncio.sleep(BATCH_SECONDS)
        arrivals = [[20] if short else [length] for length in text_lengths(300, 6)]
        latencies = await open_loop(batcher, arrivals, BATCH_SECONDS, 7, Priority.INTERACTIVE)
        if bulk is not None:
            await stop(bulk)
        return latencies.quantile(0.99)

    assert simulate(p99(loaded=True)) <= 2 * simulate(p99(loaded=False)) + BATCH_SECONDS


def bulk_share(interactive_rows: int, bulk_rows: int) -> float:
    """Part of the engine's work that is bulk while both lanes are full."""

    async def world() -> float:
        engine = FakeEngine()
        batcher = make(engine)
        lanes = [
            asyncio.create_task(keep_busy(batcher, Priority.INTERACTIVE, texts(interactive_rows, 8))),
            asyncio.create_task(keep_busy(batcher, Priority.BULK, texts(bulk_rows, 9))),
        ]
        done = {priority: 0 for priority in Priority}
        form = batcher._former.form

        def counting(idle: int, now: float) -> list[object]:
            parts = form(idle, now)
            for part in parts:
                done[part.ticket.priority] += part.rows.tokens
            return parts  # type: ignore[return-value]

        batcher._former.form = counting  # type: ignore[assignment, method-assign]
        await asyncio.sleep(40 * BATCH_SECONDS)
        for lane in lanes:
            await stop(lane)
        return done[Priority.BULK] / sum(done.values())

    return simulate(world())


@pytest.mark.parametrize(("interactive_rows", "bulk_rows"), [(1, 1), (1, 100), (100, 1), (32, 32)])
def test_bulk_beside_saturating_interactive(interactive_rows: int, bulk_rows: int) -> None:
    assert 0.10 <= bulk_share(interactive_rows, bulk_rows) <= 0.15


def test_no_lane_pays_for_time_alone() -> None:
    """Long alone at work, then joined by the other lane: neither is shut out while the other catches up."""

    async def first_wait(alone: Priority, late: Priority) -> float:
        batcher = make(FakeEngine())
        busy = asyncio.create_task(keep_busy(batcher, alone, texts(8, 10)))
        await asyncio.sleep(30 * BATCH_SECONDS)
        await closed_loop(batcher, [[100]] * 3, 1, late)
        crowd = asyncio.create_task(keep_busy(batcher, late, texts(8, 11)))
        await asyncio.sleep(BATCH_SECONDS)
        first = Latencies()
        await first.time(batcher.submit(request(100), alone))
        await stop(busy)
        await stop(crowd)
        return first.seconds[0]

    for alone, late in (tuple(Priority), tuple(Priority)[::-1]):
        turns = 2 * 10_000 / 1024 / 2  # both queues, two instances
        assert simulate(first_wait(alone, late)) <= 9 * turns * BATCH_SECONDS


def test_idle_lane_saves_nothing_up() -> None:
    """The interactive lane ran alone for long; bulk that comes then must not hold it off to get even."""

    async def world() -> Latencies:
        batcher = make(FakeEngine())
        await closed_loop(batcher, [[400]] * 400, 8)
        bulk = asyncio.create_task(keep_busy(batcher, Priority.BULK, texts(32, 12)))
        await asyncio.sleep(BATCH_SECONDS)
        latencies = await open_loop(batcher, [[50]] * 100, BATCH_SECONDS, 13, Priority.INTERACTIVE)
        await stop(bulk)
        return latencies

    assert max(simulate(world()).seconds) <= 2 * BATCH_SECONDS
