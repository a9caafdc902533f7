"""The cache's Redis: one server, or a cluster, where no command may touch keys of two slots."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CLUSTER = "cluster+"  # in front of redis:// or rediss://: HOST:PORT is any node
_SECONDS = 1.0


class CacheConnection:
    """A pool. `url` may hold a user and a password (ACL), and be rediss:// (TLS). Raises ValueError for one that is
    none."""

    def __init__(self, url: str) -> None:
        self.clustered = url.startswith(CLUSTER)
        kind = redis.RedisCluster if self.clustered else redis.Redis
        self._redis: Any = kind.from_url(
            url.removeprefix(CLUSTER),
            protocol=2,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            retry=Retry(NoBackoff(), 0),
            max_connections=256,
        )

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
