"""What a URL of a Redis may say beyond its address: cluster+ in front; rediss:// (TLS), a user and a password (ACL)."""

from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

FAILURES = (RedisError, RedisClusterException, OSError, TimeoutError)  # of calls; the second is none of the first
CLUSTER = "cluster+"  # in front of redis:// or rediss://: HOST:PORT is any node


def is_cluster(url: str) -> bool:
    return url.startswith(CLUSTER)


def connect(url: str, timeout_s: float) -> Any:
    """A pool, of one server or of a cluster; nothing is tried twice. Raises ValueError for a URL that is none."""
    kind = redis.RedisCluster if is_cluster(url) else redis.Redis
    return kind.from_url(
        url.removeprefix(CLUSTER),
        protocol=2,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        max_connections=256,
    )
