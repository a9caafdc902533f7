"""Waiting for what will happen, however slow the machine is: a test that sleeps instead fails where it takes longer."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

SECONDS = 60.0  # what takes longer does not come any more


async def until(holds: Callable[[], object | Awaitable[object]], seconds: float = SECONDS) -> None:
    """TimeoutError when it does not hold after so many seconds."""
    async with asyncio.timeout(seconds):
        while not (await found if isawaitable(found := holds()) else found):
            await asyncio.sleep(0.01)
