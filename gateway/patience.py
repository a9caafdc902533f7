"""Waiting for room: a write that is refused or that meets a restart is tried again for a while."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.deadline import Deadline
from serving.errors import Overloaded, Unavailable

T = TypeVar("T")

_RESTART_S = 0.3


async def patiently(call: Callable[[], Awaitable[T]], seconds: float, deadline: Deadline) -> T:
    """Result of an idempotent call, tried again for `seconds` when it is refused for want of room or of a part.

    Waits as long as the refusal asks, and up to half as long again so that many do not return at once.
    """
    patience = Deadline(min(seconds, deadline.left))
    while True:
        try:
            return await call()
        except (Overloaded, Unavailable) as error:
            pause = error.retry_after if isinstance(error, Overloaded) else _RESTART_S
            pause *= random.uniform(1.0, 1.5)
            if pause >= patience.left:
                raise
            await asyncio.sleep(pause)
