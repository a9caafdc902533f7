"""Whether a request may wait: whole, or not at all."""

from serving.batching import metrics
from serving.batching.engine import BatchLimits
from serving.batching.former import share
from serving.batching.lane import Lane
from serving.batching.rows import Rows
from serving.batching.speed import Speed
from serving.batching.ticket import Priority
from serving.errors import DeadlineExceeded, InvalidArgument, Overloaded

# Requests share the engine, so one ends as late as twice the time that the tokens before it take, and the estimate of
# that time is rough. With more than this part of a request's time to wait, those that get through would be those that
# are late by a little: computed for nothing.
WAITING_PART = 0.3


class Admission:
    """Bounds the tokens that wait in each lane, and lets nobody wait for what will come too late."""

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
        if deadline is not None and waiting:
            self._check_wait(rows, priority, deadline - now)

    def _check_wait(self, rows: Rows, priority: Priority, left: float) -> None:
        """Only where others wait: an engine that was slow gets one, or would be taken for slow for ever."""
        tokens = self._lanes[priority].tokens + rows.tokens
        wait = self._speed.seconds_per_batch + tokens * self._speed.seconds_per_token / self._part(priority)
        if wait > left * WAITING_PART:
            metrics.REFUSED[priority, "late"].inc()
            expected = f"the answer is expected in {wait:.3f} s, of {left:.3f} s that are left"
            raise Overloaded(expected, retry_after=wait - left * WAITING_PART)

    def retry_after(self, priority: Priority, tokens: int) -> float:
        """Seconds until `tokens` of the lane's queue have left it.

        They leave a batch at a time, at the measured speed, of which the lane gets what the other has not been
        using, but at least its share.
        """
        return (tokens + self._limits.batch_tokens) * self._speed.seconds_per_token / self._part(priority)

    def _part(self, priority: Priority) -> float:
        """Of the engine, for this lane."""
        other = next(lane for lane in Priority if lane is not priority)
        return max(share(priority), 1 - self._speed.share(other))
