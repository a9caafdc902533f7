"""What is computed before anyone waits, by an engine whose instances take one batch each."""

import asyncio
import logging
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from serving import warm_up
from serving.batching import Batch, BatchLimits, OutOfMemory, PackedLayout, PaddedLayout
from serving.calibration import length_edges
from serving.errors import Internal, Unavailable

PADDED = PaddedLayout(("input_ids", "attention_mask"), 0)
INSTANCES = 3


class InstancesEngine:
    """A batch ends when every instance has one of its shape."""

    def __init__(self, seconds_per_token: float = 1e-5, error: Exception | None = None) -> None:
        self._seconds_per_token = seconds_per_token
        self._error = error
        self._together = asyncio.Barrier(INSTANCES)
        self.now = 0.0
        self.shapes = Counter[tuple[int, int]]()

    async def run(self, batch: Batch) -> tuple[NDArray[np.float32], ...]:
        self.shapes[batch.rows, batch.computed // batch.rows] += 1
        if self._error is not None:
            raise self._error
        if await self._together.wait() == 0:
            self.now += batch.computed * self._seconds_per_token
        await self._together.wait()
        return (np.zeros((batch.rows, 1), np.float32),)


def limits(budget: int, longest: int) -> BatchLimits:
    return BatchLimits(length_edges(longest), budget, INSTANCES + 1, INSTANCES, 1 << 20, 1e-5)


async def warmed(
    monkeypatch: pytest.MonkeyPatch, engine: InstancesEngine, budget: int = 2048, longest: int = 256
) -> dict[tuple[int, int], int]:
    """How often each shape, rows x length, was computed."""
    monkeypatch.setattr(warm_up, "time", SimpleNamespace(perf_counter=lambda: engine.now))
    async with asyncio.timeout(20):
        await warm_up.warm_up(engine, PADDED, limits(budget, longest))
    return dict(engine.shapes)


async def test_every_instance_computes_the_largest_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await warmed(monkeypatch, InstancesEngine()) == {(512, 4): INSTANCES, (8, 256): INSTANCES}


async def test_a_row_may_be_longer_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await warmed(monkeypatch, InstancesEngine(), budget=128, longest=512) == {
        (32, 4): INSTANCES,
        (1, 512): INSTANCES,
    }


async def test_what_would_keep_the_start_for_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a millisecond a token a row of 8,192 takes eight seconds, one of 992 less than one."""
    assert await warmed(monkeypatch, InstancesEngine(1e-3), budget=512, longest=8192) == {
        (128, 4): INSTANCES,
        (1, 992): INSTANCES,
    }


async def test_the_budget_is_tried_however_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = await warmed(monkeypatch, InstancesEngine(1e-2), budget=512, longest=8192)
    assert shapes == {(128, 4): INSTANCES, (1, 512): INSTANCES}


async def test_rows_of_one_length(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(await warmed(monkeypatch, InstancesEngine(), longest=2)) == {(1024, 2)}


async def test_without_padding() -> None:
    layout = PackedLayout(("input_ids", "cu_seqlens"), 0)
    engine = InstancesEngine()
    await warm_up.warm_up(engine, layout, limits(2048, 256))
    assert sum(engine.shapes.values()) == 2 * INSTANCES


@pytest.mark.parametrize("error", [OutOfMemory("too large"), Internal("the inference engine failed: shape")])
async def test_a_batch_that_fails_stops_no_start(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await warm_up.warm_up(InstancesEngine(error=error), PADDED, limits(2048, 256))
    assert str(error) in caplog.text


async def test_an_engine_that_is_gone_does() -> None:
    gone = Unavailable("the inference engine does not answer", reason="ENGINE_DOWN")
    with pytest.raises(Unavailable):
        await warm_up.warm_up(InstancesEngine(error=gone), PADDED, limits(2048, 256))
