"""Embedding cache in Redis: value format, and a store that may fail without anyone noticing.

A value is the row as the embed service sent it, so a hit equals a miss bit for bit whatever the dtype.
Every failure is counted and answered as "not found"; a circuit breaker keeps a dead cache from costing time.
"""

import asyncio
import hashlib
import logging
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway import metrics
from gateway.breaker import Breaker
from gateway.cache_connection import CacheConnection
from gateway.tasks import end

log = logging.getLogger(__name__)

_HEAD = struct.Struct("<BBII8s")  # version, flags, tokens, length of the row, checksum
_VERSION = 1
_TRUNCATED = 1
_MAX_PENDING = 20_000  # values waiting to be written; beyond it new ones are dropped, not queued
_WRITE_BATCH = 512


@dataclass(frozen=True, slots=True)
class Row:
    """One embedded text: `vector` as on the wire (little-endian, any dtype), tokens as computed, whether cut."""

    vector: bytes
    tokens: int
    truncated: bool


def encode(key: bytes, row: Row) -> bytes:
    """Value of a row: head and vector. The checksum covers the key, so a value under another key is seen."""
    flags = _TRUNCATED if row.truncated else 0
    checksum = _checksum(key, flags, row.tokens, row.vector)
    return _HEAD.pack(_VERSION, flags, row.tokens, len(row.vector), checksum) + row.vector


def decode(key: bytes, value: bytes, row_bytes: int) -> Row | None:
    """The row, or None when the value is not exactly what `encode` wrote under `key` for rows of `row_bytes`."""
    if len(value) != _HEAD.size + row_bytes:
        return None
    version, flags, tokens, length, checksum = _HEAD.unpack_from(value)
    vector = value[_HEAD.size :]
    if version != _VERSION or length != row_bytes or checksum != _checksum(key, flags, tokens, vector):
        return None
    return Row(vector, tokens, bool(flags & _TRUNCATED))


def _checksum(key: bytes, flags: int, tokens: int, vector: bytes) -> bytes:
    return hashlib.blake2b(key + struct.pack("<BI", flags, tokens) + vector, digest_size=8).digest()


class EmbeddingCache:
    """Rows by key. `get` is one MGET; `put` returns at once and a task writes in pipelines, off the reply's path."""

    def __init__(self, url: str, *, ttl_s: int, budget_s: float) -> None:
        self._redis = CacheConnection(url)
        self._ttl_s = ttl_s
        self._budget_s = budget_s
        # one each: a full or read-only Redis refuses writes and still answers reads
        self._breakers = {operation: Breaker() for operation in metrics.CACHE_OPERATIONS}
        self._pending: dict[bytes, Row] = {}
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def get(self, keys: Sequence[bytes], row_bytes: int) -> dict[bytes, Row]:
        """Rows of the keys that are found, waiting `budget_s` at most. Never raises."""
        found = {key: row for key in keys if (row := self._pending.get(key)) is not None}
        wanted = [key for key in keys if key not in found]
        if wanted:
            values = await self._attempt("get", self._redis.mget, wanted, budget=self._budget_s) or ()
            for key, value in zip(wanted, values, strict=False):
                if (row := self._read(key, value, row_bytes)) is not None:
                    found[key] = row
        return found

    def put(self, rows: Mapping[bytes, Row]) -> None:
        """Queues rows to be written."""
        room = _MAX_PENDING - len(self._pending)
        if len(rows) > room:
            metrics.CACHE_FAILURES.labels("set", "dropped").inc(len(rows))
            return
        self._pending.update(rows)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_for_ever())
        self._wake.set()

    async def aclose(self) -> None:
        """Writes what is waiting, for a second at most, and disconnects."""
        if self._writer is not None:
            deadline = time.monotonic() + 1.0
            while self._pending and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            await end(self._writer)
        await self._redis.aclose()

    def _read(self, key: bytes, value: Any, row_bytes: int) -> Row | None:
        if value is None:
            return None
        row = decode(key, value, row_bytes) if isinstance(value, bytes) else None
        if row is None:
            metrics.CACHE_FAILURES.labels("get", "corrupt").inc()
        else:
            metrics.CACHE_BYTES.labels("get").inc(len(value))
        return row

    async def _write_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                batch = dict(list(self._pending.items())[:_WRITE_BATCH])
                await self._attempt("set", self._write, batch, budget=1.0)
                for key in batch:
                    del self._pending[key]

    async def _write(self, batch: Mapping[bytes, Row]) -> None:
        pipeline = self._redis.pipeline()
        size = 0
        for key, row in batch.items():
            value = encode(key, row)
            size += len(value)
            pipeline.set(key, value, ex=self._ttl_s)
        await pipeline.execute()
        metrics.CACHE_BYTES.labels("set").inc(size)

    async def _attempt(self, operation: str, call: Any, argument: Any, *, budget: float) -> Any:
        """What the call returns, or None after a failure, which is counted and told to the breaker."""
        breaker = self._breakers[operation]
        if not breaker.allows():
            metrics.CACHE_FAILURES.labels(operation, "skipped").inc()
            return None
        started = time.perf_counter()
        try:
            async with asyncio.timeout(budget):
                result = await call(argument)
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            if breaker.failed():
                log.warning("embedding cache: %s fails (%s), going on without", operation, type(error).__name__)
            metrics.CACHE_FAILURES.labels(operation, _kind(error)).inc()
            return None
        else:
            breaker.succeeded()
            return result
        finally:
            metrics.CACHE_OPEN.labels(operation).set(breaker.open)
            metrics.CACHE_SECONDS.labels(operation).observe(time.perf_counter() - started)


def _kind(error: Exception) -> str:
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return "timeout"
    return "response" if isinstance(error, ResponseError | ValueError) else "connection"
