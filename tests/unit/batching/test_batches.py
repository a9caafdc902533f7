"""What batches look like: within the budget, of similar lengths."""

import asyncio

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.batching import Priority
from tests.unit.batching.simulation import (
    BATCH_TOKENS,
    LONGEST,
    FakeEngine,
    closed_loop,
    make,
    request,
    simulate,
    text_lengths,
)


@given(
    st.lists(st.lists(st.integers(1, LONGEST), min_size=1, max_size=50), min_size=1, max_size=12),
    st.integers(1, 2048),
    st.sampled_from(Priority),
)
@settings(deadline=None, max_examples=30)
def test_budget_is_passed_only_by_a_single_row(requests: list[list[int]], budget: int, priority: Priority) -> None:
    async def world() -> None:
        engine = FakeEngine()
        batcher = make(engine, batch_tokens=budget)
        await asyncio.gather(*(batcher.submit(request(*lengths), priority) for lengths in requests))
        assert all(batch.computed <= budget or len(batch.ids) == 1 for batch in engine.batches)

    simulate(world())


def test_padding_of_mixed_texts() -> None:
    async def world() -> FakeEngine:
        engine = FakeEngine()
        await closed_loop(make(engine), [[length] for length in text_lengths(1000, seed=1)], clients=64)
        return engine

    engine = simulate(world())
    assert engine.padding <= 0.08
    rows = sum(len(batch.ids) for batch in engine.batches) / len(engine.batches)
    assert rows >= 3, "little padding is easy with batches of one"


def test_padding_of_large_requests() -> None:
    async def world() -> FakeEngine:
        engine = FakeEngine()
        lengths = text_lengths(32 * 25, seed=2)
        await closed_loop(make(engine), [lengths[i : i + 32] for i in range(0, len(lengths), 32)], clients=8)
        return engine

    assert simulate(world()).padding <= 0.08


def test_a_long_text_inflates_nobody() -> None:
    """TensorRT-LLM's batcher is first come, first served: a long text among short ones multiplies their cost."""

    async def world() -> FakeEngine:
        engine = FakeEngine()
        lengths = [[20]] * 15 + [[LONGEST]] + [[20]] * 15
        await closed_loop(make(engine), lengths * 10, clients=64)
        return engine

    engine = simulate(world())
    assert all(len(batch.ids) == 1 or batch.ids.shape[1] == 20 for batch in engine.batches if 20 in batch.ids.shape)
    assert engine.padding == 0


def test_a_few_short_texts_are_one_batch_whatever_their_lengths() -> None:
    """Their padding costs less than batches of their own; that of many would not."""

    async def world(*lengths: int) -> list[list[int]]:
        engine = FakeEngine(1)
        await make(engine).submit(request(*lengths))
        return [sorted(np.count_nonzero(batch.ids, axis=1)) for batch in engine.batches]

    assert simulate(world(8, 12, 16, 20)) == [[8, 12, 16], [20]]
    assert simulate(world(20, 32, 8)) == [[8, 20], [32]]
    assert simulate(world(*[12] * 40, 8, *[20] * 30)) == [[8, *[12] * 40], [20] * 30]


def test_a_fast_engine_is_not_filled_with_padding() -> None:
    """A batch's own time buys thousands of tokens there."""

    async def world() -> int:
        engine = FakeEngine(1, seconds_per_token=1e-7)
        await make(engine, seconds_per_token=1e-7).submit(request(20, LONGEST))
        return len(engine.batches)

    assert simulate(world()) == 2


def test_a_loaded_engine_gets_whole_batches() -> None:
    async def world() -> FakeEngine:
        engine = FakeEngine()
        await make(engine).submit(request(*[64] * 160))
        return engine

    batches = simulate(world()).batches
    assert [batch.computed for batch in batches[1:-1]] == [BATCH_TOKENS] * (len(batches) - 2)
