"""Which rows make the next batch.

Lanes share the engine by stride scheduling: each pays for the tokens it gets, the bulk lane at a higher price,
and the lane that has paid least goes next. Alone, a lane gets everything; against a saturating interactive lane,
bulk still gets its share (Waldspurger and Weihl, Stride Scheduling, 1995).

Inside a lane the row due first picks the length; rows of about that length fill the batch, oldest first, so that
padding stays small and one long text never inflates many short ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from serving.batching.lane import Lane, Part
from serving.batching.ticket import Priority

PRICES = {Priority.INTERACTIVE: 1.0, Priority.BULK: 8.0}

# A row may join a batch when it is at least this share of the batch's length; the rest is padding.
TIGHTNESS = 0.86


@dataclass(slots=True)
class Former:
    """Takes rows out of the lanes, batch by batch."""

    lanes: dict[Priority, Lane]
    _paid: dict[Priority, float] = field(default_factory=lambda: dict.fromkeys(Priority, 0.0))

    def woke(self, priority: Priority) -> None:
        """A lane that was empty has work again: it may not spend what it saved while idle."""
        busy = [p for p, lane in self.lanes.items() if p is not priority and lane.first_due() is not None]
        self._paid[priority] = max(self._paid[p] for p in (priority, *busy))

    def form(self, budget: int, seconds_per_token: float) -> list[Part]:
        """The next batch, at most `budget` tokens as computed (padding counted) unless one row alone is longer."""
        heads = {p: bucket for p, lane in self.lanes.items() if (bucket := lane.first_due()) is not None}
        if not heads:
            return []
        leading = min(heads, key=lambda priority: self._paid[priority])
        parts: list[Part] = []
        length = count = 0
        for priority, bucket in self._candidates(leading, heads[leading]):
            while True:
                longest = max(length, self.lanes[priority].edges[bucket])
                room = max(budget // longest, 0 if parts else 1) - count
                part = self.lanes[priority].take(bucket, room, seconds_per_token)
                if part is None:
                    break
                parts.append(part)
                length, count = max(length, part.length), count + len(part.indices)
                self._paid[priority] += part.tokens * PRICES[priority]
        return parts

    def _candidates(self, leading: Priority, seed: int) -> Iterator[tuple[Priority, int]]:
        """Lane and bucket pairs in the order in which they may fill a batch that starts from `seed`."""
        order = [leading, *(p for p in self.lanes if p is not leading)]
        for priority in order:
            edges = self.lanes[priority].edges
            yield priority, seed
            for bucket in range(seed - 1, -1, -1):
                if edges[bucket] < TIGHTNESS * edges[seed]:
                    break
                yield priority, bucket
