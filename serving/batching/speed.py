"""How fast the engine is, from the batches that it answered."""

from serving.batching.engine import BatchLimits
from serving.batching.ticket import Priority

# Weight of the newest batch: the figures follow the last twenty or so. The first one replaces the guess.
NEWEST = 0.05


class Speed:
    """Busy seconds and tokens per batch, averaged apart, so that their quotient is weighted by tokens.

    Busy is the time since the batch began or since the batch before it ended, whichever is less: so batches that
    run side by side, or wait inside the engine, add up to the time that passed, and the speed is the whole engine's.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._tokens = float(limits.batch_tokens)
        self._seconds = limits.seconds_per_token * limits.batch_tokens / limits.instances
        self._bulk = 0.0
        self._ended = float("-inf")
        self._batches = 0

    def observe(self, priority: Priority, tokens: int, started: float, ended: float) -> None:
        """A batch of one lane: `tokens` without padding; clock times."""
        busy = ended - max(started, self._ended)
        self._ended = ended
        self._batches += 1
        weight = max(NEWEST, 1 / self._batches)
        self._seconds += weight * (busy - self._seconds)
        self._tokens += weight * (tokens - self._tokens)
        self._bulk += weight * ((tokens if priority is Priority.BULK else 0) - self._bulk)

    @property
    def seconds_per_batch(self) -> float:
        return self._seconds

    @property
    def seconds_per_token(self) -> float:
        return self._seconds / self._tokens

    def share(self, priority: Priority) -> float:
        """The part of the computed tokens that was this lane's, 0 to 1."""
        bulk = self._bulk / self._tokens
        return bulk if priority is Priority.BULK else 1 - bulk
