"""Admission: whole or not at all, with an honest time to come back."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from serving.batching import Batcher, Completed, Priority, Rows, metrics
from serving.errors import InvalidArgument, Overloaded
from tests.unit.batching.simulation import (
    BATCH_SECONDS,
    LONGEST,
    SECONDS_PER_TOKEN,
    FakeEngine,
    make,
    now,
    request,
    simulate,
    text_lengths,
    waiting,
)

ROOM = 20_000


async def fill(batcher: Batcher, priority: Priority, texts: Iterator[Rows]) -> tuple[Rows, Overloaded]:
    """Submits requests, whose answers nobody looks at, until one is refused; that one, and the refusal."""
    for rows in texts:
        task = asyncio.create_task(batcher.submit(rows, priority))
        _unwatched.add(task)
        task.add_done_callback(_unwatched.discard)
        await asyncio.sleep(0)
        if task.done() and isinstance(refusal := task.exception(), Overloaded):
            return rows, refusal
    raise AssertionError("never full")


_unwatched: set[asyncio.Task[Completed]] = set()


def texts(rows: int, seed: int) -> Iterator[Rows]:
    while True:
        yield request(*text_lengths(rows, seed))
        seed += 1


def test_refusal_leaves_nothing_behind() -> None:
    """TensorRT-LLM queues the inputs of a request one by one, and may refuse a request that is half queued."""

    async def world() -> None:
        engine = FakeEngine()
        batcher = make(engine, queue_tokens=ROOM)
        refused = metrics.REFUSED[Priority.INTERACTIVE, "overloaded"]
        before = refused._value.get()
        await fill(batcher, Priority.INTERACTIVE, texts(16, 1))
        held = waiting(batcher)
        rows = request(*[LONGEST] * 30)
        with pytest.raises(Overloaded):
            await batcher.submit(rows)
        assert waiting(batcher) == held
        assert refused._value.get() == before + 2
        await asyncio.wait(_unwatched)
        assert not engine.saw(rows)
        assert waiting(batcher) == 0

    simulate(world())


def test_one_lane_full_leaves_the_other_open() -> None:
    async def world() -> None:
        batcher = make(FakeEngine(), queue_tokens=ROOM)
        await fill(batcher, Priority.BULK, texts(16, 1))
        await batcher.submit(request(30), Priority.INTERACTIVE)

    simulate(world())


@pytest.mark.parametrize("guess", [SECONDS_PER_TOKEN, SECONDS_PER_TOKEN * 20, SECONDS_PER_TOKEN / 20])
@pytest.mark.parametrize("instances", [1, 2, 4])
def test_room_comes_when_the_refusal_said(instances: int, guess: float) -> None:
    """One lane alone, after some batches, whatever the first guess of the speed was."""

    async def world() -> None:
        engine = FakeEngine(instances=instances)
        batcher = make(engine, queue_tokens=ROOM, seconds_per_token=guess, in_flight=instances + 1)
        await batcher.submit(request(*text_lengths(80, 1)))
        for rows in (1, 40, 80, 1):
            refused, refusal = await fill(batcher, Priority.INTERACTIVE, texts(rows, 5))
            await asyncio.sleep(refusal.retry_after)
            await batcher.submit(refused)

    simulate(world())


@pytest.mark.parametrize("beside", [False, True])
def test_the_estimate_is_right_within_a_factor(beside: bool) -> None:
    """Neither much too early nor much too late, also for bulk beside saturating interactive work."""

    async def world() -> tuple[float, float]:
        batcher = make(FakeEngine(), queue_tokens=ROOM)
        crowd = asyncio.create_task(_saturate(batcher, Priority.INTERACTIVE)) if beside else None
        bulk = asyncio.create_task(_saturate(batcher, Priority.BULK))
        await asyncio.sleep(20 * BATCH_SECONDS)
        bulk.cancel()
        wanted = 8000
        said = batcher._admission.retry_after(Priority.BULK, waiting(batcher, Priority.BULK) + wanted - ROOM)
        started = now()
        while ROOM - waiting(batcher, Priority.BULK) < wanted:
            await asyncio.sleep(BATCH_SECONDS / 20)
        if crowd is not None:
            crowd.cancel()
        return said, now() - started

    said, took = simulate(world())
    assert 0.9 * took <= said <= 2 * took


async def _saturate(batcher: Batcher, priority: Priority) -> None:
    while True:
        await fill(batcher, priority, texts(16, 9))
        await asyncio.sleep(BATCH_SECONDS)


@pytest.mark.parametrize(
    ("lengths", "says"), [([LONGEST] * 40, "the limit is 20000"), ([5, LONGEST + 1, 7], f"limit is {LONGEST}")]
)
def test_what_never_fits_is_refused_as_such(lengths: list[int], says: str) -> None:
    async def world() -> None:
        batcher = make(FakeEngine(), queue_tokens=ROOM)
        with pytest.raises(InvalidArgument, match=says):
            await batcher.submit(request(*lengths))
        assert waiting(batcher) == 0
        await batcher.submit(request(10))

    simulate(world())


def test_no_rows_no_batch() -> None:
    async def world() -> None:
        with pytest.raises(InvalidArgument, match="rows: none"):
            await make(FakeEngine()).submit(Rows(np.zeros(0, np.int32), np.zeros(0, np.int32)))

    simulate(world())
