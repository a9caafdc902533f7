"""Calls that are given up: they end at both ends, and nothing of them stays."""

import asyncio
import ctypes
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
import pytest_asyncio

from siftline.replies import reply_of

METHOD = "/test/Wait"
TIMES = 1000
LEFT_BEHIND = 300  # bytes of a call; a kilobyte where the task is cancelled, fifty where it is not


@dataclass
class Other:
    """A server whose answer is asked for and, until `open` is set, not given."""

    channel: grpc.aio.Channel
    open: asyncio.Event = field(default_factory=asyncio.Event)
    given_up: int = 0

    async def wait(self, request: bytes, context: Any) -> bytes:
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if request == b"wrong":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "wrong")
        return request

    def call(self, request: bytes = b"?") -> Any:
        return self.channel.unary_unary(METHOD)(request, timeout=30)


@pytest_asyncio.fixture(name="other")
async def _other() -> AsyncIterator[Other]:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        other = Other(channel)
        handlers = {"Wait": grpc.unary_unary_rpc_method_handler(other.wait)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
        await server.start()
        yield other
        await server.stop(None)


class Allocations(ctypes.Structure):
    """glibc's mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t) for name in ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"]
    ] + [(name, ctypes.c_size_t) for name in ("uordblks", "fordblks", "keepcost")]


def in_use() -> int:
    """Bytes that this process has allocated in C and not given back."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = Allocations
    return int(ask().uordblks)


async def given_up(other: Other, times: int) -> None:
    for _ in range(times):
        waiting = asyncio.ensure_future(reply_of(other.call()))
        await asyncio.sleep(0.0005)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_reply_and_an_error_are_those_of_the_call(other: Other) -> None:
    other.open.set()
    assert await reply_of(other.call(b"!")) == b"!"
    with pytest.raises(grpc.aio.AioRpcError, match="wrong"):
        await reply_of(other.call(b"wrong"))


async def test_who_is_asked_hears_that_nobody_waits(other: Other) -> None:
    waiting = asyncio.ensure_future(reply_of(other.call()))
    await asyncio.sleep(0.2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(10):
        while not other.given_up:
            await asyncio.sleep(0.01)


async def test_nothing_of_it_stays(other: Other) -> None:
    await given_up(other, TIMES)
    before = in_use()
    await given_up(other, TIMES)
    assert in_use() - before < TIMES * LEFT_BEHIND
