"""The moment by which a call has to be answered, and what is left of it for the next hop."""

import time

from serving import clock
from serving.errors import DeadlineExceeded


class Deadline:
    """A point in monotonic time."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @classmethod
    def of(cls, context: clock.Timed, default_s: float) -> "Deadline":
        """The caller's own deadline, or `default_s` from now when it set none."""
        remaining = clock.left(context)
        return cls(default_s if remaining is None else min(remaining, 3600.0))

    @property
    def left(self) -> float:
        """Seconds, negative once it has passed."""
        return self._at - time.monotonic()

    def require(self) -> float:
        """Seconds left. Raises DeadlineExceeded when there are none."""
        left = self.left
        if left <= 0:
            raise DeadlineExceeded("the deadline passed before the work was done")
        return left
