"""The cache's Redis: one server, or a cluster, where no command may touch keys of two slots."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from gateway.redis_url import connect, is_cluster

_SECONDS = 1.0


class CacheConnection:
    """A pool. Raises ValueError for a URL that is none."""

    def __init__(self, url: str) -> None:
        self.clustered = is_cluster(url)
        self._redis = connect(url, _SECONDS)

    async def mget(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Values in the order of the keys: one command, or one for each slot, side by side."""
        found: Sequence[bytes | None]
        found = await (self._redis.mget_nonatomic(keys) if self.clustered else self._redis.mget(keys))
        return found

    def pipeline(self) -> Any:
        return self._redis.pipeline() if self.clustered else self._redis.pipeline(transaction=False)

    def scan(self, pattern: bytes, page: int) -> AsyncIterator[bytes]:
        """All keys that match, of every node."""
        found: AsyncIterator[bytes] = self._redis.scan_iter(match=pattern, count=page)
        return found

    async def aclose(self) -> None:
        await self._redis.aclose()
