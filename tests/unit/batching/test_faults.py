"""Faults of the engine reach those whose batch it was, and nobody else; afterwards everything goes on."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.batching import Batch, Completed, OutOfMemory, Priority, metrics
from serving.errors import Internal, Overloaded, SiftlineError, Unavailable
from tests.unit.batching.simulation import (
    BATCH_SECONDS,
    LONGEST,
    FakeEngine,
    expected,
    make,
    request,
    simulate,
    waiting,
)


async def ends(*work: Coroutine[Any, Any, Completed]) -> list[Completed | BaseException]:
    return await asyncio.gather(*work, return_exceptions=True)


def failing(error: Exception, *lengths: int) -> "FakeEngine":
    """An engine that fails batches of these row lengths, all if none is given."""

    def fault(batch: Batch) -> None:
        if not lengths or batch.computed // batch.rows in lengths:
            raise error

    return FakeEngine(fault=fault)


@pytest.mark.parametrize("error", [Internal("shape"), ValueError("foreign")])
def test_an_error_fails_its_batch_alone(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def world() -> None:
        batcher = make(failing(error, 304))
        good = request(20, 20)
        failed, fine, mixed = await ends(
            batcher.submit(request(304)), batcher.submit(good), batcher.submit(request(*[40] * 100, 304))
        )
        assert isinstance(failed, Internal)
        assert isinstance(mixed, Internal)
        assert isinstance(fine, Completed)
        np.testing.assert_array_equal(fine.outputs, expected(good))
        assert waiting(batcher) == 0
        await batcher.submit(request(10))

    simulate(world())


def test_rows_of_a_failed_request_are_not_computed() -> None:
    async def world() -> None:
        engine = FakeEngine(instances=1, fault=failing(Internal("x")).fault)
        batcher = make(engine, in_flight=2)
        with pytest.raises(Internal):
            await batcher.submit(request(*[LONGEST] * 40))
        assert waiting(batcher) == 0, "its room is free at once"
        await asyncio.sleep(10 * BATCH_SECONDS)
        assert len(engine.batches) == 2, "the one that failed and the one behind it"

    simulate(world())


def test_too_few_answers_are_an_error() -> None:
    class Short(FakeEngine):
        async def run(self, batch: Batch) -> tuple[NDArray[np.float32], ...]:
            return tuple(output[:-1] for output in await super().run(batch))

    async def world() -> None:
        with pytest.raises(Internal, match="answered 1 rows of 2"):
            await make(Short(instances=1)).submit(request(10, 10))

    simulate(world())


def test_out_of_memory_splits_until_it_fits() -> None:
    async def world() -> None:
        engine = FakeEngine()

        def fault(batch: Batch) -> None:
            if batch.computed > 160:
                raise OutOfMemory

        engine.fault = fault
        splits = metrics.SPLITS._value.get()
        batcher = make(engine)
        requests = [request(50, 30, 50, 31), request(*[50] * 30), request(149)]
        for rows, completed in zip(requests, await ends(*map(batcher.submit, requests)), strict=True):
            assert isinstance(completed, Completed)
            np.testing.assert_array_equal(completed.outputs, expected(rows))
        assert metrics.SPLITS._value.get() > splits

    simulate(world())


def test_only_the_row_that_does_not_fit_fails() -> None:
    async def world() -> None:
        def fault(batch: Batch) -> None:
            if batch.computed // batch.rows > 104:
                raise OutOfMemory

        batcher = make(FakeEngine(instances=1, fault=fault))
        fits = [request(100), request(99), request(98)]
        *fine, failed = await ends(*map(batcher.submit, [*fits, request(106)]))
        for rows, completed in zip(fits, fine, strict=True):
            assert isinstance(completed, Completed)
            np.testing.assert_array_equal(completed.outputs, expected(rows))
        assert isinstance(failed, Overloaded)

    simulate(world())


def test_halves_nobody_waits_for_are_not_retried() -> None:
    async def world() -> None:
        engine = failing(OutOfMemory())
        batcher = make(engine)
        caller = asyncio.create_task(batcher.submit(request(*[50] * 4)))
        await asyncio.sleep(0.001)
        sent = len(engine.batches)
        caller.cancel()
        await asyncio.sleep(1)
        assert len(engine.batches) == sent

    simulate(world())


def test_engine_gone() -> None:
    """All that waits fails at once, all that comes is refused at once, and resume() is all that it takes."""

    async def world() -> None:
        engine = failing(Unavailable("gone"))
        batcher = make(engine)
        refused = metrics.REFUSED[Priority.INTERACTIVE, "engine_down"]
        before = refused._value.get()
        outcomes = await ends(
            *(batcher.submit(request(*[100] * 30), priority) for priority in Priority for _ in range(5))
        )
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert waiting(batcher) == 0
        assert batcher.suspended
        sent = len(engine.batches)
        with pytest.raises(Unavailable) as refusal:
            await batcher.submit(request(10))
        assert refusal.value.reason == "ENGINE_DOWN"
        assert refused._value.get() == before + 1
        await asyncio.sleep(1)
        assert len(engine.batches) == sent
        engine.fault = lambda batch: None
        batcher.resume()
        rows = request(10, 20)
        np.testing.assert_array_equal((await batcher.submit(rows)).outputs, expected(rows))

    simulate(world())


def test_suspended_from_outside() -> None:
    """The readiness watch found the engine dead: what waits fails now, what is in the engine may still come back."""

    async def world() -> None:
        batcher = make(FakeEngine(instances=1), in_flight=1)
        first = asyncio.create_task(batcher.submit(request(100)))
        await asyncio.sleep(0.001)
        second = asyncio.create_task(batcher.submit(request(100)))
        await asyncio.sleep(0.001)
        batcher.suspend("no answer")
        await asyncio.sleep(0)
        assert isinstance(second.exception(), Unavailable)
        assert isinstance(await first, Completed)

    simulate(world())


@pytest.mark.parametrize("after", [0, 0.001, 0.2])
def test_close_resolves_everything(after: float) -> None:
    async def world() -> None:
        batcher = make(FakeEngine())
        callers = [asyncio.create_task(batcher.submit(request(*[100] * 30))) for _ in range(5)]
        await asyncio.sleep(after)
        await batcher.close()
        outcomes = await ends(*callers)  # type: ignore[arg-type]
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert waiting(batcher) == 0
        with pytest.raises(SiftlineError):
            await batcher.submit(request(1))

    simulate(world())
