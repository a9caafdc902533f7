"""Inside a lane: small requests do not wait for large ones, and nobody waits for ever."""

import asyncio

from tests.unit.batching.simulation import (
    BATCH_SECONDS,
    FakeEngine,
    Latencies,
    closed_loop,
    make,
    request,
    simulate,
    text_lengths,
)

TWO_BATCHES = 2.2 * BATCH_SECONDS  # and the time of the row itself


def one_row_behind(large: list[list[int]], length: int = 60) -> float:
    """Latency of a one-row request that comes while the large ones are well under way."""

    async def world() -> float:
        batcher, latencies = make(FakeEngine()), Latencies()
        crowd = [asyncio.create_task(batcher.submit(request(*lengths))) for lengths in large]
        await asyncio.sleep(5.37 * BATCH_SECONDS)
        await latencies.time(batcher.submit(request(length)))
        assert not any(task.done() for task in crowd)
        await asyncio.gather(*crowd)
        return latencies.seconds[0]

    return simulate(world())


def test_one_row_behind_a_thousand() -> None:
    assert one_row_behind([text_lengths(1000, seed=3)]) <= TWO_BATCHES


def test_one_row_behind_a_thousand_of_its_own_length() -> None:
    assert one_row_behind([[60] * 1000]) <= TWO_BATCHES


def test_one_row_behind_five_thousand_rows_of_five_callers() -> None:
    """Each of them is due one more batch at most before the newcomer."""
    assert one_row_behind([text_lengths(1000, seed=seed) for seed in range(5)]) <= (5 + 2.2) * BATCH_SECONDS


def test_one_rows_beside_a_large_request_under_load() -> None:
    """Small requests that take half of the engine stay quick for all the time that the large one takes."""

    async def world() -> Latencies:
        batcher = make(FakeEngine())
        large = asyncio.create_task(batcher.submit(request(*[100] * 3000)))
        small = await closed_loop(batcher, [[100]] * 400, clients=10)
        assert not large.done()
        await large
        return small

    assert simulate(world()).quantile(0.99) <= 3.1 * BATCH_SECONDS, "waits for two, and is computed in a third"


def test_large_request_ends_under_a_flood_of_small_ones() -> None:
    async def world() -> None:
        batcher = make(FakeEngine())
        large = Latencies()
        flood = asyncio.create_task(closed_loop(batcher, [[60]] * 6000, clients=40))
        await asyncio.sleep(BATCH_SECONDS)
        await large.time(batcher.submit(request(*[200] * 50)))
        assert not flood.done()
        await flood
        alone = 50 * 200 * 1e-4 / 2
        assert large.seconds[0] <= 41 * alone, "41 requests at a time share the engine"

    simulate(world())


def test_rare_lengths_do_not_starve() -> None:
    """A length that fits no one else's batch gets its turn too."""

    async def world() -> Latencies:
        batcher = make(FakeEngine())
        flood = asyncio.create_task(closed_loop(batcher, [[30]] * 4000, clients=64))
        await asyncio.sleep(BATCH_SECONDS)
        rare = await closed_loop(batcher, [[400], [7], [150]] * 10, clients=1)
        assert not flood.done()
        await flood
        return rare

    assert max(simulate(world()).seconds) <= TWO_BATCHES + 0.04
