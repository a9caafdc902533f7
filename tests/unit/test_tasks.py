"""Tasks that end."""

import asyncio

from gateway.tasks import end


async def test_a_task_that_swallows_a_cancellation_ends_too() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end(task)
    assert task.cancelled()


async def test_what_has_ended_or_never_began() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await end(task)
    await end(None)
