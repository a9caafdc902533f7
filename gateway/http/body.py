"""The body of a request, whole, as long as it is not too large and does not come too slowly."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway.deadline import Deadline
from gateway.http.failure import BODY_TOO_LARGE, SLOW_BODY
from serving.errors import InvalidArgument


class Gone(Exception):
    """The client has gone: nobody reads a reply."""


# A client that sends before it reads learns why it was refused only if what it sends is taken. So much is, and no more.
_DISCARDED = 64 << 20


async def read(receive: Any, headers: Mapping[str, str], limit: int, deadline: Deadline) -> bytes:
    """Raises InvalidArgument for a body that is larger than `limit` bytes or not there by `deadline`; Gone."""
    try:
        async with asyncio.timeout(deadline.require()):
            declared = headers.get("content-length", "")
            if declared.isdigit() and int(declared) > limit:
                if "expect" not in headers:
                    await _discard(receive)
                raise _too_large(limit)
            return await _read(receive, limit)
    except TimeoutError as error:
        raise InvalidArgument("body", "came too slowly", reason=SLOW_BODY) from error


async def _read(receive: Any, limit: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        part, more = await _part(receive)
        size += len(part)
        if size > limit:
            if more:
                await _discard(receive)
            raise _too_large(limit)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _discard(receive: Any) -> None:
    size, more = 0, True
    while more and size < _DISCARDED:
        part, more = await _part(receive)
        size += len(part)


async def _part(receive: Any) -> tuple[bytes, bool]:
    """The next bytes, and whether there are more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    return message.get("body", b""), message.get("more_body", False)


def _too_large(limit: int) -> InvalidArgument:
    return InvalidArgument("body", f"larger than the limit of {limit} bytes", reason=BODY_TOO_LARGE)
