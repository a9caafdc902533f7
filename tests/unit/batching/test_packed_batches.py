"""What a batch is made of where nothing is padded."""

import asyncio

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.batching.packing import bucket
from tests.unit.batching.simulation import (
    BATCH_TOKENS,
    LAYOUT,
    LONGEST,
    PACKED,
    FakeEngine,
    PackedEngine,
    expected,
    make,
    request,
    simulate,
    text_lengths,
)


def test_short_and_long_go_together() -> None:
    lengths = [3, LONGEST, 30, 60, 200]

    async def world() -> None:
        for engine, layout, batches in ((PackedEngine(1), PACKED, 1), (FakeEngine(1), LAYOUT, len(lengths))):
            rows = request(*lengths)
            completed = await make(engine, layout).submit(rows)
            np.testing.assert_array_equal(completed.outputs, expected(rows))
            assert len(engine.batches) == batches

    simulate(world())


@given(st.lists(st.integers(1, LONGEST), min_size=1, max_size=60))
@settings(deadline=None, max_examples=40)
def test_within_the_budget_but_for_one_row(lengths: list[int]) -> None:
    async def world() -> None:
        engine = PackedEngine(1)
        await make(engine, PACKED, batch_tokens=300).submit(request(*lengths))
        assert sum(batch.tokens for batch in engine.batches) == sum(lengths)
        for batch in engine.batches:
            assert batch.tokens <= max(300, max(lengths))
            assert batch.computed == bucket(batch.tokens)

    simulate(world())


def test_nearly_no_padding_for_mixed_texts() -> None:
    async def world() -> None:
        engine = PackedEngine(1)
        await make(engine, PACKED, batch_tokens=4 * BATCH_TOKENS).submit(request(*text_lengths(400, seed=1)))
        assert engine.padding < 0.06

    simulate(world())


def test_first_come_first_served_whatever_the_length() -> None:
    """Behind a batch in the engine wait a long row and then many short ones: the long one is in the next batch."""

    async def world() -> None:
        engine = PackedEngine(1)
        batcher = make(engine, PACKED, in_flight=1, batch_tokens=600)
        waiting = [request(LONGEST), request(LONGEST), *(request(20) for _ in range(50))]
        calls = []
        for rows in waiting:
            calls.append(asyncio.create_task(batcher.submit(rows)))
            await asyncio.sleep(1e-6)
        await asyncio.gather(*calls)
        assert np.isin(waiting[1].ids, engine.batches[1].ids).all()
        assert engine.batches[1].tokens > 580

    simulate(world())
