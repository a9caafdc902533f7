"""Single flight: one computes, the others wait, and nobody fails for another's sake."""

import asyncio
from collections.abc import Mapping

import pytest

from gateway.flights import Flights
from serving.errors import DeadlineExceeded, InvalidArgument, Unavailable


class Computer:
    """Counts what it is asked for and answers when told to."""

    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, keys: list[bytes]) -> Mapping[bytes, bytes]:
        self.asked.append(keys)
        await self.go.wait()
        await asyncio.sleep(0)  # no computation is done at once
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return {key: key.upper() for key in keys}


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_hundred_requests_compute_once() -> None:
    flights, compute = Flights[bytes](), Computer()
    tasks = [asyncio.create_task(flights.fetch([b"a", b"b", b"a"], compute)) for _ in range(100)]
    await settle()
    compute.go.set()
    results = await asyncio.gather(*tasks)
    assert compute.asked == [[b"a", b"b"]]
    assert all(values == {b"a": b"A", b"b": b"B"} for values, _ in results)
    assert sorted(coalesced for _, coalesced in results) == [0] + [2] * 99


async def test_requests_that_overlap_wait_for_each_other() -> None:
    flights, compute = Flights[bytes](), Computer()
    one = asyncio.create_task(flights.fetch([b"a", b"b"], compute))
    await settle()
    two = asyncio.create_task(flights.fetch([b"b", b"c"], compute))
    await settle()
    compute.go.set()
    assert await one == ({b"a": b"A", b"b": b"B"}, 0)
    assert await two == ({b"b": b"B", b"c": b"C"}, 1)
    assert compute.asked == [[b"a", b"b"], [b"c"]]


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), InvalidArgument("texts[1]", "too long"), KeyError("bug")])
async def test_who_waits_takes_over_when_the_other_fails_for_itself(error: Exception) -> None:
    flights, compute = Flights[bytes](), Computer()
    compute.error = error
    tasks = [asyncio.create_task(flights.fetch([b"a"], compute)) for _ in range(3)]
    await settle()
    compute.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] is error
    assert [result[0] for result in results[1:]] == [{b"a": b"A"}] * 2  # type: ignore[index]
    assert len(compute.asked) == 2


async def test_who_waits_takes_over_when_the_other_goes_away() -> None:
    flights, compute = Flights[bytes](), Computer()
    first = asyncio.create_task(flights.fetch([b"a"], compute))
    await settle()
    second = asyncio.create_task(flights.fetch([b"a"], compute))
    await settle()
    first.cancel()
    await settle()
    compute.go.set()
    assert (await second)[0] == {b"a": b"A"}
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_who_goes_away_while_waiting_disturbs_nobody() -> None:
    flights, compute = Flights[bytes](), Computer()
    tasks = [asyncio.create_task(flights.fetch([b"a"], compute)) for _ in range(3)]
    await settle()
    tasks[1].cancel()
    await settle()
    compute.go.set()
    assert (await tasks[0])[0] == (await tasks[2])[0] == {b"a": b"A"}


async def test_a_service_that_is_down_fails_all_who_wait() -> None:
    flights, compute = Flights[bytes](), Computer()
    compute.error = Unavailable("down")
    tasks = [asyncio.create_task(flights.fetch([b"a"], compute)) for _ in range(3)]
    await settle()
    compute.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3
    assert (await flights.fetch([b"a"], compute))[0] == {b"a": b"A"}
