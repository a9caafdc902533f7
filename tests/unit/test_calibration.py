"""Which batch size is chosen, from an engine whose speed is known."""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.batching import Batch, PaddedLayout
from serving.calibration import BUDGETS, Calibration, calibrate, length_edges

LAYOUT = PaddedLayout(("input_ids", "attention_mask"), 0)


class TimedEngine:
    """Takes as long as `seconds` says for a batch of rows x length, on a clock of its own."""

    def __init__(self, seconds: Callable[[int, int], float]) -> None:
        self._seconds = seconds
        self.now = 0.0
        self.shapes: list[tuple[int, int]] = []

    def clock(self) -> float:
        return self.now

    async def run(self, batch: Batch) -> NDArray[np.float32]:
        shape = batch.rows, batch.computed // batch.rows
        self.now += self._seconds(*shape)
        self.shapes.append(shape)
        return np.zeros((batch.rows, 1), np.float32)


Measure = Callable[..., Awaitable[Calibration]]


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Measure:
    async def choose(engine: TimedEngine, key: str = "cpu", longest: int = 512) -> Calibration:
        clock = SimpleNamespace(perf_counter=engine.clock, monotonic=engine.clock)
        monkeypatch.setattr("serving.calibration.time", clock)
        return await calibrate(engine, LAYOUT, longest, tmp_path, key)

    return choose


async def test_no_overhead_smallest_budget(measure: Measure) -> None:
    found = await measure(TimedEngine(lambda rows, length: rows * length * 1e-5))
    assert found.batch_tokens == BUDGETS[0]
    assert found.seconds_per_token == pytest.approx(1e-5)


async def test_overhead_asks_for_larger_batches(measure: Measure) -> None:
    """2 ms a batch and 20 us a token: at 1,024 tokens the overhead is a tenth, at 2,048 a twentieth."""
    found = await measure(TimedEngine(lambda rows, length: 0.002 + rows * length * 2e-5))
    assert found.batch_tokens == 2048


async def test_caches_run_over(measure: Measure) -> None:
    """Twice as slow per token past 600: the largest below is best."""
    found = await measure(
        TimedEngine(lambda rows, length: 0.002 + rows * length * (2e-5 if rows * length < 600 else 4e-5))
    )
    assert found.batch_tokens == 512


async def test_no_batch_keeps_others_waiting_for_long(measure: Measure) -> None:
    engine = TimedEngine(lambda rows, length: 1.0 + rows * length * 1e-4)
    found = await measure(engine)
    assert found.batch_tokens == BUDGETS[0]
    assert engine.now < 20


async def test_rows_no_longer_than_the_model_takes(measure: Measure) -> None:
    engine = TimedEngine(lambda rows, length: rows * length * 1e-5)
    await measure(engine, longest=50)
    assert max(length for _, length in engine.shapes) == 50


async def test_measured_once_for_each_engine(measure: Measure, tmp_path: Path) -> None:
    first = TimedEngine(lambda rows, length: rows * length * 1e-5)
    found = await measure(first, "bf16")
    again = TimedEngine(lambda rows, length: rows * length * 9e-5)
    assert await measure(again, "bf16") == found
    assert again.shapes == []
    assert (await measure(again, "fp32")).seconds_per_token == pytest.approx(9e-5)
    assert len(json.loads((tmp_path / "calibration.json").read_text())) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"KEY": 1}', '{"KEY": ["x", 1]}', '{"KEY": {"batch_tokens": 1}}'])
async def test_a_spoilt_file_is_measured_again(measure: Measure, tmp_path: Path, content: str) -> None:
    key = f"cpu-{os.cpu_count()}cpu"
    (tmp_path / "calibration.json").write_text(content.replace("KEY", key))
    found = await measure(TimedEngine(lambda rows, length: rows * length * 1e-5))
    assert found.batch_tokens == BUDGETS[0]


async def test_a_folder_that_cannot_be_written(measure: Measure, tmp_path: Path) -> None:
    (tmp_path / "calibration.json").mkdir()
    found = await measure(TimedEngine(lambda rows, length: rows * length * 1e-5))
    assert found.batch_tokens == BUDGETS[0]


@pytest.mark.parametrize("longest", [1, 2, 13, 50, 128, 512, 8192])
def test_edges_rise_to_the_longest(longest: int) -> None:
    edges = length_edges(longest)
    assert edges[-1] == longest
    assert list(edges) == sorted(set(edges))
    assert all(edge % 4 == 0 for edge in edges[:-1])


def test_few_shapes_and_little_padding() -> None:
    """Lengths are near enough to each other that reaching the next adds a tenth at most, from 40 tokens on."""
    edges = length_edges(512)
    assert len(edges) < 60
    assert all(high <= 1.2 * low for low, high in zip(edges, edges[1:], strict=False) if low >= 40)


async def test_every_batch_of_the_sweep_has_another_shape_than_the_one_before(measure: Measure) -> None:
    """An engine that prepares itself for a shape would look too fast."""
    engine = TimedEngine(lambda rows, length: rows * length * 1e-5)
    await measure(engine)
    assert all(a != b for a, b in zip(engine.shapes, engine.shapes[1:], strict=False))
