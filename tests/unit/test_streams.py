"""A stream waits for room; a single call of the same kind would be refused."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest

from gateway.api.streams import answered
from serving.errors import InvalidArgument, Overloaded, SiftlineError


class Context:
    """Of a caller without a deadline."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None

    def time_remaining(self) -> None:
        return None

    async def abort(self, code: grpc.StatusCode, *facts: Any) -> None:
        self.code = code
        raise grpc.aio.AbortError


def context() -> Any:
    return Context()


class Service:
    """Refuses each message `refusals` times, then answers with its square."""

    def __init__(self, refusals: int, error: SiftlineError) -> None:
        self._error, self._left = error, dict.fromkeys(range(200), refusals)
        self.asked = 0

    async def answer(self, number: int, context: Any) -> int:
        self.asked += 1
        self._left[number] -= 1
        if self._left[number] >= 0:
            raise self._error
        return number**2


async def messages(numbers: Sequence[int]) -> AsyncIterator[int]:
    for number in numbers:
        yield number


async def test_what_finds_no_room_is_asked_again_and_answered_in_its_place() -> None:
    service = Service(2, Overloaded("full", retry_after=0.001))
    replies = [each async for each in answered(messages(range(200)), context(), service.answer)]
    assert replies == [number**2 for number in range(200)]
    assert service.asked == 600


async def test_what_can_never_be_answered_ends_the_stream() -> None:
    service, caller = Service(1, InvalidArgument("inputs", "is empty")), context()
    with pytest.raises(grpc.aio.AbortError):
        _ = [each async for each in answered(messages([3]), caller, service.answer)]
    assert (caller.code, service.asked) == (grpc.StatusCode.INVALID_ARGUMENT, 1)
