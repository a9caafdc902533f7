"""Single flight among all gateways of a cache: one computes a row, the others wait for it, but never for long."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gateway.embedding_cache import EmbeddingCache
from gateway.embedding_value import Row
from gateway.metrics import CACHE_CLAIMS

Compute = Callable[[list[bytes]], Awaitable[Mapping[bytes, Row]]]

_FIRST_S, _LONGEST_S = 0.004, 0.05  # pauses between two looks at what others compute


class SharedFlights:
    """Who has a claim on a key computes its row; the claim ends with the row, with a failure, or with its time."""

    def __init__(self, cache: EmbeddingCache) -> None:
        self._cache = cache

    async def fetch(
        self, keys: Sequence[bytes], row_bytes: int, compute: Compute, patience: float
    ) -> tuple[dict[bytes, Row], int]:
        """Rows of keys that the cache lacked, and how many of them it has got meanwhile, from other gateways.

        `compute` gets the keys that nobody else has a claim on, and after `patience` seconds all that are left: who
        has a claim on them is late, or gone. While Redis fails it gets all at once. Raises what `compute` raises.
        """
        rows: dict[bytes, Row] = {}
        waiting, shared, pause = list(keys), 0, _FIRST_S
        until = time.monotonic() + min(self._cache.claim_s, patience)
        while True:
            now = time.monotonic()
            claims_until = 0.0 if now >= until else now + self._cache.claim_s
            own = await self._cache.claim(waiting) if claims_until else waiting
            found = await self._cache.get(waiting, row_bytes)  # also what came between the first look and the claim
            self._cache.give_up(key for key in own if key in found)
            rows.update(found)
            shared += len(found)
            if absent := [key for key in own if key not in found]:
                rows.update(await self._fly(absent, compute, claims_until))
            waiting = [key for key in waiting if key not in rows]
            if not waiting:
                CACHE_CLAIMS.labels("shared").inc(shared)
                return rows, shared
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_S)

    async def _fly(self, keys: list[bytes], compute: Compute, claims_until: float) -> Mapping[bytes, Row]:
        CACHE_CLAIMS.labels("own" if claims_until else "late").inc(len(keys))
        try:
            return await compute(keys)
        except BaseException:
            if time.monotonic() < claims_until:  # later they may be another's
                self._cache.give_up(keys)
            raise
