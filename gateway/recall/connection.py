"""The connection to the index's Redis, and what its errors mean to a caller."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.recall import Frozen
from serving.errors import DeadlineExceeded, FailedPrecondition, Internal, Overloaded, SiftlineError, Unavailable

MISSING = "INDEX_MISSING"
_NO_INDEX = ("no such index", "unknown index name", "index not found")  # by version of the engine


def connect(url: str, timeout_s: float) -> "redis.Redis":
    """A pool. When a connection breaks, its command is sent again on a new one: all of ours are idempotent."""
    return redis.Redis.from_url(
        url,
        protocol=2,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, 2.0),
        retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), 2, (RedisConnectionError,)),
        max_connections=1024,
    )


@asynccontextmanager
async def answering(timeout_s: float) -> AsyncIterator[None]:
    """Runs commands for `timeout_s` at most and turns Redis's errors into ours."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise DeadlineExceeded("index: no answer in time") from error
    except (RedisError, OSError) as error:
        raise translated(error) from error


def translated(error: Exception) -> SiftlineError:
    """Our error for one of Redis. Texts of foreign errors stay in the log: they may quote documents."""
    if isinstance(error, OutOfMemoryError) or str(error).startswith("OOM"):
        return Overloaded("index: its memory limit is reached", retry_after=30.0)
    if isinstance(error, ResponseError) and "FROZEN" in str(error):
        return Frozen("collection: a rebuilt one is about to take its place, try again")
    if isinstance(error, RedisTimeoutError) or "Timeout limit was reached" in str(error):
        return DeadlineExceeded("index: no answer in time")
    if isinstance(error, BusyLoadingError):
        return Unavailable("index: is loading its data")
    if isinstance(error, ReadOnlyError) or str(error).startswith(("MISCONF", "READONLY")):
        return Unavailable("index: does not accept writes now")
    if isinstance(error, RedisConnectionError | OSError):
        return Unavailable("index: can't be reached")
    if isinstance(error, ResponseError) and "WAITAOF" in str(error):
        return FailedPrecondition(
            "index: its append-only file is off or it can't be waited for, so nothing it takes is durable; "
            "switch it on, or set index-durable to false",
            reason="INDEX_NOT_DURABLE",
        )
    if isinstance(error, ResponseError) and any(words in str(error).lower() for words in _NO_INDEX):
        return Unavailable("index: the collection's index is not there", reason=MISSING)
    return Internal(f"index: {type(error).__name__}")
