"""Deadlines over a wall clock that somebody sets.

gRPC for Python reckons deadlines in wall-clock time, its core in monotonic time, and each is converted a moment after
it was read: when the clock is set in that moment, a call has no time at all, or a day.
"""

import time
from collections.abc import Callable
from functools import partial
from operator import methodcaller
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

_SET_SECONDS = 0.05  # less is a thread that was held up between reading one clock and the other
_ATTEMPTS = 5


class Timed(Protocol):
    """gRPC's context of a call, or what stands in for it."""

    def time_remaining(self) -> float | None: ...


def left(context: Timed) -> float | None:
    """Seconds until the caller's deadline, None when it set none."""
    return _steadily(context.time_remaining)


def begun(method: Any, request: Any, *, timeout: float, metadata: Any) -> Any:
    """The call of a stub's method, to be awaited. One that is given up has not been sent: it was made just now."""
    return _steadily(partial(method, request, timeout=timeout, metadata=metadata), methodcaller("cancel"))


def _steadily(read: Callable[[], T], drop: Callable[[T], object] = lambda _: None) -> T:
    """What `read` returns; once more when the wall clock was set meanwhile, and `drop` gets what is not taken."""
    for _ in range(_ATTEMPTS):
        before = _ahead()
        got = read()
        if abs(_ahead() - before) < _SET_SECONDS:
            return got
        drop(got)
    return read()


def _ahead() -> float:
    """Seconds of the wall clock before the monotonic one."""
    return time.time() - time.monotonic()
