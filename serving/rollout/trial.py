"""How two models did with the calls of one phase or step, and whether the new one may go on."""

from collections import deque

import numpy as np

from serving.rollout.plan import Plan
from siftline.rollout.v1 import rollout_pb2 as pb

# Percentiles of fewer calls say nothing.
ENOUGH = 20
NEWEST = 2000


class Tally:
    """Calls that one model answered, and those that it alone could not."""

    def __init__(self) -> None:
        self.calls = 0
        self.failures = 0
        self._seconds: deque[float] = deque(maxlen=NEWEST)

    def answered(self, seconds: float) -> None:
        self.calls += 1
        self._seconds.append(seconds)

    def failed(self) -> None:
        self.calls += 1
        self.failures += 1

    @property
    def timed(self) -> int:
        return len(self._seconds)

    @property
    def p95(self) -> float:
        """Seconds; 0 when nothing was answered."""
        return float(np.percentile(self._seconds, 95)) if self._seconds else 0.0

    def message(self) -> pb.Tally:
        return pb.Tally(calls=self.calls, failures=self.failures, p95_ms=1000 * self.p95)


class Trial:
    """The old model and the new one, side by side."""

    def __init__(self) -> None:
        self.old, self.new = Tally(), Tally()

    def objection(self, plan: Plan) -> str:
        """Why the new model must go, empty while there is nothing against it."""
        old, new = self.old, self.new
        if new.failures > plan.max_error_ratio * new.calls:
            return f"{new.failures} of {new.calls} calls failed that the old model answered"
        bound = plan.max_slowdown * old.p95 + plan.slack_ms / 1000
        if min(old.timed, new.timed) >= ENOUGH and new.p95 > bound:
            return f"95th percentile {1000 * new.p95:.0f} ms, the old model's {1000 * old.p95:.0f} ms"
        return ""
