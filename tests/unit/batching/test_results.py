"""Every row gets its own result, in order, whatever the schedule; and afterwards nothing is left behind."""

import asyncio
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.batching import Batch, Batcher, OutOfMemory, Priority, metrics
from serving.batching.packing import bucket
from serving.errors import DeadlineExceeded, Internal, Overloaded
from tests.unit.batching.simulation import (
    BATCH_TOKENS,
    LAYOUT,
    LONGEST,
    PACKED,
    TOKEN_OUTPUTS,
    FakeEngine,
    PackedEngine,
    expected,
    make,
    now,
    request,
    simulate,
    token_answers,
    waiting,
)


@dataclass(frozen=True)
class Call:
    """One caller: when it comes, what it asks, when it loses patience."""

    at: float
    lengths: list[int]
    priority: Priority
    deadline: float | None
    cancelled_after: float | None
    token_outputs: tuple[str, ...]


seconds = st.floats(0, 1, allow_subnormal=False)
calls = st.builds(
    Call,
    at=seconds,
    lengths=st.lists(st.integers(1, LONGEST) | st.integers(1, 30), min_size=1, max_size=40),
    priority=st.sampled_from(Priority),
    deadline=st.none() | st.none() | seconds,
    cancelled_after=st.none() | st.none() | seconds,
    token_outputs=st.sampled_from([(), (), *((name,) for name in TOKEN_OUTPUTS), TOKEN_OUTPUTS]),
)


@dataclass
class Faults:
    """Fails every batch whose number is listed, and says "out of memory" to all larger than `memory` tokens."""

    failing: frozenset[int]
    memory: int
    seen: int = 0

    def __call__(self, batch: Batch) -> None:
        self.seen += 1
        if self.seen in self.failing:
            raise Internal("seeded")
        if batch.computed > self.memory:
            raise OutOfMemory("seeded")


def engine_length(length: int) -> int:
    """The length that the engine is given for a row of this length."""
    return next(edge for edge in LAYOUT.lengths if edge >= length)


async def caller(batcher: Batcher, call: Call) -> str:
    """Makes the call; its own rows in order are the only result that passes."""
    await asyncio.sleep(call.at)
    rows = request(*call.lengths)
    deadline = None if call.deadline is None else now() + call.deadline
    try:
        async with asyncio.timeout(call.cancelled_after):
            completed = await batcher.submit(rows, call.priority, deadline, call.token_outputs)
    except (TimeoutError, DeadlineExceeded, Internal, Overloaded) as error:
        return type(error).__name__
    np.testing.assert_array_equal(completed.outputs, expected(rows))
    assert tuple(sorted(completed.tokens)) == tuple(sorted(call.token_outputs))
    for name, values in completed.tokens.items():
        np.testing.assert_array_equal(values, token_answers(name, rows.ids))
    assert completed.compute_seconds > 0
    return "ok"


@given(
    st.lists(calls, min_size=1, max_size=25),
    st.frozensets(st.integers(1, 60), max_size=6),
    st.sampled_from([BATCH_TOKENS, BATCH_TOKENS, 300]),
    st.booleans(),
)
@settings(deadline=None, max_examples=80)
def test_own_rows_in_order_and_nothing_left(
    schedule: list[Call], failing: frozenset[int], memory: int, packed: bool
) -> None:
    fit = bucket if packed else engine_length

    async def world() -> None:
        faults = Faults(failing, memory)
        engine = PackedEngine(fault=faults) if packed else FakeEngine(fault=faults)
        batcher = make(engine, PACKED if packed else LAYOUT)
        ends = await asyncio.gather(*(caller(batcher, call) for call in schedule))
        for end, call in zip(ends, schedule, strict=True):
            assert end != "TimeoutError" or call.cancelled_after is not None
            assert end != "DeadlineExceeded" or call.deadline is not None
            assert end != "Internal" or failing
            assert end != "Overloaded" or call.deadline is not None or fit(max(call.lengths)) > memory
        while engine.running:
            await asyncio.sleep(1)
        assert waiting(batcher) == 0
        assert all(gauge._value.get() == 0 for gauge in (*metrics.QUEUED_TOKENS.values(), metrics.IN_FLIGHT))

    simulate(world())


@given(st.lists(st.integers(1, LONGEST), min_size=1, max_size=200))
@settings(deadline=None, max_examples=30)
def test_one_request_of_any_lengths(lengths: list[int]) -> None:
    async def world() -> None:
        rows = request(*lengths)
        completed = await make(FakeEngine()).submit(rows)
        np.testing.assert_array_equal(completed.outputs, expected(rows))

    simulate(world())
