"""Replies to calls that may be given up before they are answered."""

import asyncio
from typing import Any


async def reply_of(call: Any) -> Any:
    """The reply to a call of a stub of grpc.aio, or its error.

    Where the caller is cancelled, the call is cancelled at both ends, but not gRPC's task in which it is awaited: that
    would leave a kilobyte behind each time (https://github.com/grpc/grpc/issues/43360). It ends by itself.
    """
    try:
        return await asyncio.shield(asyncio.ensure_future(call))
    except asyncio.CancelledError:
        call._cancel("given up")  # `cancel` cancels the task too
        raise
