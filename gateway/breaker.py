"""Circuit breaker: after failures in a row a part is left alone for a while, then tried by one request."""

import time


class Breaker:
    """Opens after `threshold` failures in a row, for `first` seconds, twice as long each time up to `longest`."""

    def __init__(self, threshold: int = 3, first: float = 0.25, longest: float = 5.0) -> None:
        self._threshold = threshold
        self._first = first
        self._longest = longest
        self._failures = 0
        self._pause = first
        self._until = 0.0

    @property
    def open(self) -> bool:
        return self._failures >= self._threshold

    def allows(self) -> bool:
        """Whether to try. While open, one try per pause: the pause is pushed on before its outcome is known."""
        if not self.open:
            return True
        now = time.monotonic()
        if now < self._until:
            return False
        self._until = now + self._pause
        return True

    def succeeded(self) -> None:
        self._failures = 0
        self._pause = self._first

    def failed(self) -> bool:
        """Whether this failure opened it."""
        self._failures += 1
        if self.open:
            self._until = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, self._longest)
        return self._failures == self._threshold
