"""Which rows make the next batch.

Lanes share the engine by stride scheduling: each pays for the tokens it gets, the bulk lane at a higher price,
and the lane that has paid least goes next. Alone, a lane gets everything; against a saturating interactive lane,
bulk still gets its share (Waldspurger and Weihl, Stride Scheduling, 1995). A batch is of one lane: bulk rows would
make an interactive batch longer.

Inside a lane the row due first picks the length; rows of about that length fill the batch, oldest first, so that
padding stays small and one long text never inflates many short ones. What room is then left goes to rows of other
lengths, for as much padding as a batch of their own would cost. Where nothing is padded, rows go as they are due.
"""

import itertools
from collections.abc import Iterator

from serving.batching.engine import BatchLimits
from serving.batching.lane import Lane, Part
from serving.batching.ticket import Priority

PRICES = {Priority.INTERACTIVE: 1.0, Priority.BULK: 8.0}

# Rows may join when they are this near to the length of the row due first; the rest is padding. Nearer ones make
# batches small and many, others cost more than another batch does.
TIGHTNESS = 0.86

# What a batch costs whatever is in it: the way to the engine and back, and its change to another shape. Rows of other
# lengths may cost a batch as much padding, and so far; and where the engine is fast, this share of the budget.
BATCH_SECONDS = 0.002
SLACK = 1 / 16


class Former:
    """Takes rows out of the lanes, batch by batch."""

    def __init__(self, lanes: dict[Priority, Lane], limits: BatchLimits, mixes_lengths: bool) -> None:
        self._lanes = lanes
        self._mixes_lengths = mixes_lengths
        self._paid = dict.fromkeys(lanes, 0.0)
        self._budgets = {priority: _budget(priority, limits) for priority in lanes}
        self._slack = int(min(BATCH_SECONDS / limits.seconds_per_token, SLACK * limits.batch_tokens))

    def form(self, idle: int, now: float) -> list[Part]:
        """The next batch, within the budget as computed (padding counted) unless one row alone is longer.

        A small queue is shared out over the `idle` instances.
        """
        heads = {p: bucket for p, lane in self._lanes.items() if (bucket := lane.first_due(now)) is not None}
        if not heads:
            return []
        leading = min(heads, key=self._paid.__getitem__)
        for priority in self._lanes.keys() - heads.keys():  # nobody saves up while idle
            self._paid[priority] = max(self._paid[priority], self._paid[leading])
        lane, budget = self._lanes[leading], self._budgets[leading]
        if idle > 1:
            budget = min(budget, -(-lane.tokens // idle))
        if self._mixes_lengths:
            parts = _fill_mixed(lane, budget, now)
        else:
            parts = _fill(lane, heads[leading], _Filling(budget, self._slack), now)
        self._paid[leading] += PRICES[leading] * sum(part.rows.tokens for part in parts)
        return parts


def share(priority: Priority) -> float:
    """The part of the engine that a lane gets at least while it has work."""
    return (1 / PRICES[priority]) / sum(1 / price for price in PRICES.values())


def _budget(priority: Priority, limits: BatchLimits) -> int:
    """An interactive batch waits for one of those in the engine to end, and for those that are queued there to begin.

    Bulk batches are so small that all this takes no longer than one whole batch.
    """
    if priority is Priority.INTERACTIVE:
        return limits.batch_tokens
    ends = max(1, limits.in_flight - limits.instances + 1)
    return max(1, limits.batch_tokens * min(ends, limits.instances) // ends)


class _Filling:
    """A batch that is being filled, up to `budget` tokens. Its length is that of the longest bucket in it.

    `slack`: tokens of padding that rows of quite another length than the first may still cost.
    """

    def __init__(self, budget: int, slack: int) -> None:
        self.slack = slack
        self._budget = budget
        self._first = self._length = self._rows = 0
        self.parts: list[Part] = []

    def room(self, length: int) -> int:
        """How many more rows of up to this length it can take; one at least when it is empty."""
        most = self._budget // max(self._length, length)
        return min(most - self._rows, self._affordable(length)) if self.parts else max(1, most)

    def add(self, part: Part, length: int) -> None:
        self._first = self._first or length
        if not _near(length, self._first):
            self.slack -= self._padding(length, len(part.indices))
        self.parts.append(part)
        self._length = max(self._length, length)
        self._rows += len(part.indices)

    def _affordable(self, length: int) -> int:
        """How many rows of this length the slack allows."""
        if _near(length, self._first) or length == self._length:
            return self._budget
        if length < self._length:
            return self.slack // (self._length - length)
        return self._budget if self._padding(length, 1) <= self.slack else 0

    def _padding(self, length: int, rows: int) -> int:
        """What so many rows of this length add."""
        return self._rows * max(0, length - self._length) + rows * max(0, self._length - length)


def _fill(lane: Lane, seed: int, filling: _Filling, now: float) -> list[Part]:
    for bucket in _candidates(lane.edges, seed, filling.slack):
        while part := lane.take(bucket, filling.room, now):
            filling.add(part, lane.edges[bucket])
    return filling.parts


def _fill_mixed(lane: Lane, budget: int, now: float) -> list[Part]:
    """Rows of any length, in the order in which they are due."""
    parts: list[Part] = []
    left = budget

    def room(length: int) -> int:
        return left // length if parts else max(1, left // length)

    while (bucket := lane.first_due(now)) is not None and (part := lane.take(bucket, room, now)):
        parts.append(part)
        left -= part.rows.tokens
    return parts


def _candidates(edges: tuple[int, ...], seed: int, slack: int) -> Iterator[int]:
    """Buckets in the order in which they may fill a batch that starts from `seed`: near ones and shorter ones first."""
    sides = range(seed - 1, -1, -1), range(seed + 1, len(edges))

    def near(bucket: int) -> bool:
        return _near(edges[bucket], edges[seed])

    yield seed
    for side in sides:
        yield from itertools.takewhile(near, side)
    for side in sides:
        rest = itertools.dropwhile(near, side)
        yield from itertools.takewhile(lambda bucket: abs(edges[bucket] - edges[seed]) <= slack, rest)


def _near(one: int, other: int) -> bool:
    return min(one, other) >= TIGHTNESS * max(one, other)
