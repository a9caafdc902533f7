"""A wall clock that is set while gRPC for Python reckons with it: no call loses its time, none is sent twice."""

import time
from typing import Any
from unittest.mock import Mock

import grpc
import pytest

from gateway.deadline import Deadline
from serving import clock
from serving.limits import deadline_of

DAY = 86_400.0


class Clock:
    """Of this process, from now on."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._time = time.time

    def time(self) -> float:
        return self._time() + self.ahead


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Clock:
    faked = Clock()
    monkeypatch.setattr(time, "time", faked.time)
    return faked


class Context:
    """As gRPC's own: the deadline in wall-clock time, less what the wall clock says then; it is set `jumps` between."""

    def __init__(self, wall: Clock, seconds: float, *jumps: float) -> None:
        self._wall, self._jumps = wall, list(jumps)
        self._at = time.monotonic() + seconds

    def time_remaining(self) -> float:
        deadline = self._at - time.monotonic() + time.time()
        self._wall.ahead += self._jumps.pop(0) if self._jumps else 0.0
        return max(deadline - time.time(), 0)


@pytest.mark.parametrize("jumps", [(DAY,), (-DAY,), (DAY, -DAY, 5.0), (-30.0,)])
def test_a_deadline_stays_where_it_is(wall: Clock, jumps: tuple[float, ...]) -> None:
    assert Deadline.of(Context(wall, 50.0, *jumps), 30.0).left == pytest.approx(50.0, abs=10.0)
    at = deadline_of(Context(wall, 50.0, *jumps))
    assert at is not None
    assert at - time.monotonic() == pytest.approx(50.0, abs=10.0)


def test_a_call_whose_making_the_clock_was_set_in_is_made_again(wall: Clock) -> None:
    made: list[Mock] = []

    def method(request: Any, *, timeout: float, metadata: Any) -> Mock:
        wall.ahead += 0.0 if made else DAY
        made.append(Mock())
        return made[-1]

    assert clock.begun(method, b"", timeout=5.0, metadata=()) is made[-1]
    assert [call.cancel.called for call in made] == [True, False]


async def test_a_call_that_was_given_up_is_never_sent(wall: Clock) -> None:
    asked = []

    async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        asked.append(context.time_remaining())
        return request

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"Ask": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary("/test/Ask")

        def jumping(request: bytes, **terms: Any) -> Any:
            call = method(request, **terms)
            wall.ahead += 0.0 if wall.ahead else DAY
            return call

        assert await clock.begun(jumping, b"?", timeout=50.0, metadata=()) == b"?"
    await server.stop(0)
    assert len(asked) == 1
