"""A deterministic world for the batcher: a loop whose time is virtual, an engine that computes in that time, arrivals.

Nothing sleeps. The loop jumps to the next timer, and when there is none it says so instead of hanging.
"""

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from serving.batching import Batch, Batcher, BatchLimits, Completed, Layout, PackedLayout, PaddedLayout, Priority, Rows
from serving.calibration import length_edges

T = TypeVar("T")

LONGEST = 512
LAYOUT = PaddedLayout(("input_ids", "attention_mask"), pad_token_id=0, lengths=length_edges(LONGEST))
PACKED = PackedLayout(("input_ids", "cu_seqlens", "row_numbers"), pad_token_id=0)
BATCH_TOKENS = 1024
SECONDS_PER_TOKEN = 1e-4
BATCH_SECONDS = BATCH_TOKENS * SECONDS_PER_TOKEN


class Stuck(AssertionError):
    """Somebody waits and nothing will ever happen."""


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands still while anything can run, then jumps to the next timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def simulate(world: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end in virtual time. What fails in a callback or an unwatched task fails it too."""
    faults: list[BaseException] = []

    def stop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        faults.append(context.get("exception") or AssertionError(context["message"]))
        loop.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.get_loop().set_exception_handler(stop)
        try:
            return runner.run(world)
        finally:
            if faults:
                raise faults[0]


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class Given:
    """What the engine was given, and when."""

    ids: NDArray[np.int32]
    tokens: int
    sent: float
    begun: float = -1.0
    ended: float = -1.0

    @property
    def computed(self) -> int:
        return self.ids.size


@dataclass(slots=True)
class FakeEngine:
    """`instances` batches at once, each rows x length x seconds_per_token long. `fault` may raise for a batch."""

    instances: int = 2
    seconds_per_token: float = SECONDS_PER_TOKEN
    fault: Callable[[Batch], None] = lambda batch: None
    batches: list[Given] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    _free: asyncio.Semaphore | None = None

    async def run(self, batch: Batch) -> tuple[NDArray[np.float32], ...]:
        self._free = self._free or asyncio.Semaphore(self.instances)
        given = Given(batch.arrays["input_ids"], batch.tokens, now())
        self.batches.append(given)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            async with self._free:
                given.begun = now()
                await asyncio.sleep(given.computed * self.seconds_per_token)
                self.fault(batch)
        finally:
            self.running -= 1
            given.ended = now()
        return (self.answers(batch), *(token_answers(name, given.ids) for name in batch.token_outputs))

    def answers(self, batch: Batch) -> NDArray[np.float32]:
        return answers(batch.arrays["input_ids"], batch.arrays["attention_mask"].sum(1))

    @property
    def padding(self) -> float:
        """Share of the computed tokens that was padding."""
        return 1 - sum(batch.tokens for batch in self.batches) / sum(batch.computed for batch in self.batches)

    def saw(self, rows: Rows) -> bool:
        """Whether any row of a request got here; ids of requests must differ."""
        return any(np.isin(rows.ids, batch.ids).any() for batch in self.batches)


class PackedEngine(FakeEngine):
    """The same for packed batches."""

    def answers(self, batch: Batch) -> NDArray[np.float32]:
        ids, ends = batch.arrays["input_ids"], batch.arrays["cu_seqlens"]
        spans = [slice(ends[number], ends[number + 1]) for number in batch.arrays["row_numbers"]]
        return np.concatenate([answers(ids[None, span], np.array([span.stop - span.start])) for span in spans])


def answers(ids: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 [n, 3] that tells rows apart: length, first id, and a sum of ids by position (exact in float32)."""
    places = np.arange(ids.shape[1]) % 7 + 1
    columns = [lengths, ids[:, 0] % 65_521, (ids * places).sum(1) % 65_521]
    stacked: NDArray[np.float32] = np.stack(columns, axis=1).astype(np.float32)
    return stacked


def token_answers(name: str, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """float32 of the ids' shape, and [..., 2] for a name in capitals: another number for each id and name."""
    numbers: NDArray[np.float32] = ids.astype(np.float32) + len(name)
    return np.stack([numbers, -numbers], axis=-1) if name.isupper() else numbers


TOKEN_OUTPUTS = ("number", "NUMBERS")  # with a number, and with two, for each token


def expected(rows: Rows) -> NDArray[np.float32]:
    """The answers that a request must get, row by row, without a batcher."""
    out, begin = [], 0
    for length in rows.lengths.tolist():
        out.append(answers(rows.ids[None, begin : begin + length], np.array([length]))[0])
        begin += length
    return np.array(out)


_unused = iter(range(1, 1 << 30))


def request(*lengths: int) -> Rows:
    """A request of rows of these lengths; no two requests share an id."""
    total = sum(lengths)
    first = next(_unused)
    for _ in range(total - 1):
        next(_unused)
    return Rows(np.arange(first, first + total, dtype=np.int32), np.array(lengths, np.int32))


def text_lengths(count: int, seed: int, mean: float = 180, longest: int = LONGEST) -> list[int]:
    """Log-normal lengths as of real passages, cut at the longest."""
    draw = random.Random(seed)
    spread = 0.6
    center = np.log(mean) - spread**2 / 2
    return [min(longest, max(2, round(draw.lognormvariate(center, spread)))) for _ in range(count)]


def limits(**changes: Any) -> BatchLimits:
    values: dict[str, Any] = {
        "edges": length_edges(LONGEST),
        "batch_tokens": BATCH_TOKENS,
        "in_flight": 3,
        "instances": 2,
        "queue_tokens": 1 << 20,
        "seconds_per_token": SECONDS_PER_TOKEN,
    }
    return BatchLimits(**{**values, **changes})


def make(engine: FakeEngine, layout: Layout = LAYOUT, **changes: Any) -> Batcher:
    """A batcher over an engine, in the running loop's time."""
    return Batcher(engine, layout, limits(instances=engine.instances, **changes), asyncio.get_running_loop().time)


def waiting(batcher: Batcher, *lanes: Priority) -> int:
    """Tokens that the batcher counts as waiting, in all lanes or in these."""
    return sum(batcher._lanes[priority].tokens for priority in lanes or Priority)


@dataclass(slots=True)
class Latencies:
    """Seconds from arrival to answer."""

    seconds: list[float] = field(default_factory=list)

    async def time(self, work: Coroutine[Any, Any, Completed]) -> Completed:
        started = now()
        completed = await work
        self.seconds.append(now() - started)
        return completed

    def quantile(self, share: float) -> float:
        return float(np.quantile(self.seconds, share))


async def closed_loop(
    batcher: Batcher, lengths: Sequence[Sequence[int]], clients: int, priority: Priority = Priority.INTERACTIVE
) -> Latencies:
    """Clients that each send the next request as soon as the last is answered, until all are sent."""
    latencies = Latencies()
    requests = iter(lengths)

    async def client() -> None:
        for rows in requests:
            await latencies.time(batcher.submit(request(*rows), priority))

    await asyncio.gather(*(client() for _ in range(clients)))
    return latencies


async def open_loop(
    batcher: Batcher, lengths: Sequence[Sequence[int]], every: float, seed: int, priority: Priority
) -> Latencies:
    """Poisson arrivals, on average one `every` so many seconds."""
    latencies, draw = Latencies(), random.Random(seed)
    async with asyncio.TaskGroup() as group:
        for rows in lengths:
            await asyncio.sleep(draw.expovariate(1 / every))
            group.create_task(latencies.time(batcher.submit(request(*rows), priority)))
    return latencies
