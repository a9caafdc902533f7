"""Background tasks that end when they are told to."""

import asyncio
from typing import Any


async def end(task: "asyncio.Task[Any] | None") -> None:
    """Cancels a task until it has ended. Once is not enough: a gRPC call that finishes at that moment swallows it."""
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)
