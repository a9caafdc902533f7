"""The buckets of one process: what holds when Redis can't be asked."""

import time
from collections.abc import Callable, Sequence

from gateway.quota.limits import Charge, Refused

_ROUNDING_S = 1e-4
_MANY = 10_000


class Buckets:
    """Each is the time at which it is full again; one that is full already need not be kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: dict[tuple[str, str], float] = {}

    def take(self, name: str, charges: Sequence[Charge]) -> Refused | None:
        """Takes all of it, or nothing. What is more than a bucket ever holds has to wait until it is full."""
        now, after = self._clock(), {}
        for charge in charges:
            after[name, charge.kind] = full_at = max(self._full_at.get((name, charge.kind), now), now) + charge.cost
            if (wait := full_at - now - max(charge.window, charge.cost)) > _ROUNDING_S:
                return Refused(charge.kind, wait)
        self._full_at.update(after)
        if len(self._full_at) > _MANY:
            self._full_at = {bucket: full_at for bucket, full_at in self._full_at.items() if full_at > now}
        return None

    def correct(self, name: str, charge: Charge) -> None:
        """Takes more, also more than there is, or gives back (a negative cost)."""
        now, bucket = self._clock(), (name, charge.kind)
        self._full_at[bucket] = max(self._full_at.get(bucket, now), now) + charge.cost
