"""The body of a request, whole, as long as it is not too large and does not come too slowly."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway.deadline import Deadline
from gateway.http.failure import BODY_TOO_LARGE, SLOW_BODY
from serving.errors import InvalidArgument


class Gone(Exception):
    """The client has gone: nobody reads a reply."""


async def read(receive: Any, headers: Mapping[str, str], limit: int, deadline: Deadline) -> bytes:
    """Raises InvalidArgument for a body that is larger than `limit` bytes or not there by `deadline`; Gone."""
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(deadline.require()):
            return await _read(receive, limit)
    except TimeoutError as error:
        raise InvalidArgument("body", "came too slowly", reason=SLOW_BODY) from error


async def _read(receive: Any, limit: int) -> bytes:
    body, more = b"", True
    parts = []
    size = 0
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    return body


def _too_large(limit: int) -> InvalidArgument:
    return InvalidArgument("body", f"larger than the limit of {limit} bytes", reason=BODY_TOO_LARGE)
