"""Whether a request may wait: whole, or not at all."""

from serving.batching import metrics
from serving.batching.engine import BatchLimits
from serving.batching.former import share
from serving.batching.lane import Lane
from serving.batching.rows import Rows
from serving.batching.speed import Speed
from serving.batching.ticket import Priority
from serving.errors import DeadlineExceeded, InvalidArgument, Overloaded


class Admission:
    """Bounds the tokens that wait in each lane."""

    def __init__(self, limits: BatchLimits, lanes: dict[Priority, Lane], speed: Speed) -> None:
        self._limits = limits
        self._lanes = lanes
        self._speed = speed

    def check(self, rows: Rows, priority: Priority, deadline: float | None, now: float) -> None:
        """Raises InvalidArgument (can never fit), DeadlineExceeded (too late already) or Overloaded (full)."""
        limit, waiting = self._limits.queue_tokens, self._lanes[priority].tokens
        if deadline is not None and now >= deadline:
            metrics.DROPPED[priority, "expired"].inc()
            raise DeadlineExceeded("the deadline passed before the request was admitted")
        if not len(rows):
            raise InvalidArgument("rows", "none; at least one is needed")
        if rows.tokens > limit:
            metrics.REFUSED[priority, "too_large"].inc()
            raise InvalidArgument("request", f"{rows.tokens} tokens; the limit is {limit}")
        if waiting + rows.tokens > limit:
            metrics.REFUSED[priority, "overloaded"].inc()
            wait = self.retry_after(priority, waiting + rows.tokens - limit)
            full = f"{waiting} tokens wait in the {priority.value} lane"
            raise Overloaded(f"{full}; room in {wait:.3f} s", retry_after=wait)

    def retry_after(self, priority: Priority, tokens: int) -> float:
        """Seconds until `tokens` of the lane's queue have left it.

        They leave a batch at a time, at the measured speed, of which the lane gets what the other has not been
        using, but at least its share.
        """
        other = next(lane for lane in Priority if lane is not priority)
        part = max(share(priority), 1 - self._speed.share(other))
        return (tokens + self._limits.batch_tokens) * self._speed.seconds_per_token / part
