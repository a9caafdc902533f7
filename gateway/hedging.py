"""A second attempt at another replica when the first one is slow: off by default, and within a budget."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway import metrics

T = TypeVar("T")

_SHARE = 0.05  # of calls that may have a second attempt: when all are slow, twice as many would make it worse
_MOST = 10.0  # at once, after a time without any


class Hedging:
    """Of calls to one service. `after_s` 0 makes none."""

    def __init__(self, service: str, after_s: float) -> None:
        self._won = {winner: metrics.HEDGED.labels(service, winner) for winner in metrics.WINNERS}
        self._after_s = after_s
        self._credit = _MOST

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The first success. An idempotent attempt, because it may be made twice; what loses is cancelled."""
        if not self._after_s:
            return await attempt()
        self._credit = min(_MOST, self._credit + _SHARE)
        attempts = [asyncio.ensure_future(attempt())]
        try:
            await asyncio.wait(attempts, timeout=self._after_s)
            if not attempts[0].done() and self._credit >= 1:
                self._credit -= 1
                attempts.append(asyncio.ensure_future(attempt()))
                winner = await _first_success(attempts)
                self._won["first" if winner is attempts[0] else "second"].inc()
                return winner.result()
            return await attempts[0]
        finally:
            for each in attempts:
                each.cancel()


async def _first_success(attempts: "Sequence[asyncio.Future[T]]") -> "asyncio.Future[T]":
    """The first that succeeds; the first attempt when none does."""
    waiting = set(attempts)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            if not each.cancelled() and each.exception() is None:
                return each
    return attempts[0]
