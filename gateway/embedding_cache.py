"""Embedding cache in Redis: a store that may fail without anyone noticing.

Every failure is counted and answered as "not found"; a circuit breaker keeps a dead cache from costing time.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextvars import Context
from typing import Any, NamedTuple

from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway import metrics
from gateway.breaker import Breaker
from gateway.cache_connection import CacheConnection
from gateway.embedding_key import claim_on
from gateway.embedding_value import Row, decode, encode
from gateway.redis_url import FAILURES
from gateway.tasks import end
from serving import tracing

log = logging.getLogger(__name__)

_MAX_PENDING = 20_000  # values waiting to be written; beyond it new ones are dropped, not queued
_WRITE_BATCH = 512


class _Waiting(NamedTuple):
    """To be written. row: None where a claim is given up. trace: of the call that it comes from."""

    row: Row | None
    trace: Any


class EmbeddingCache:
    """Rows by key. `get` is one MGET; `put` returns at once and a task writes in pipelines, off the reply's path.

    `claim_s`: how long a claim to compute a row holds, and keeps others from it; 0 makes none.
    """

    def __init__(self, url: str, *, ttl_s: int, budget_s: float, claim_s: float = 0.0) -> None:
        self._redis = CacheConnection(url)
        self._ttl_s = ttl_s
        self.budget_s = budget_s
        self.claim_s = claim_s
        # one each: a full or read-only Redis refuses writes and still answers reads
        self._breakers = {operation: Breaker() for operation in metrics.CACHE_OPERATIONS}
        self._pending: dict[bytes, _Waiting] = {}
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def get(self, keys: Sequence[bytes], row_bytes: int) -> dict[bytes, Row]:
        """Rows of the keys that are found, waiting `budget_s` at most. Never raises."""
        pending = ((key, self._pending[key].row) for key in keys if key in self._pending)
        found = {key: row for key, row in pending if row is not None}
        wanted = [key for key in keys if key not in found]
        if wanted:
            with tracing.span("cache"):
                values = await self._attempt("get", self._redis.mget, wanted, budget=self.budget_s) or ()
            for key, value in zip(wanted, values, strict=False):
                if (row := self._read(key, value, row_bytes)) is not None:
                    found[key] = row
        return found

    async def claim(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """Those of the keys that nobody had a claim on: they are now to be computed here, and then `put` or given up.

        All of them when Redis can't say.
        """
        with tracing.span("cache claim"):
            granted = await self._attempt("claim", self._claim, keys, budget=self.budget_s)
        return keys if granted is None else [key for key, yes in zip(keys, granted, strict=True) if yes]

    async def _claim(self, keys: Sequence[bytes]) -> Sequence[bool | None]:
        pipeline = self._redis.pipeline()
        for key in keys:
            pipeline.set(claim_on(key), b"", nx=True, px=max(1, int(self.claim_s * 1000)))
        granted: Sequence[bool | None] = await pipeline.execute()
        return granted

    def give_up(self, keys: Iterable[bytes]) -> None:
        """Lets others compute what was claimed here."""
        self.put({key: None for key in keys if key not in self._pending})

    def put(self, rows: Mapping[bytes, Row | None]) -> None:
        """Queues rows to be written, each of which ends the claims on its key."""
        room = _MAX_PENDING - len(self._pending)
        if len(rows) > room:
            metrics.CACHE_FAILURES.labels("set", "dropped").inc(len(rows))
            return
        trace = tracing.current()
        self._pending.update((key, _Waiting(row, trace)) for key, row in rows.items())
        if self._writer is None:  # of no call, so in no call's context
            self._writer = asyncio.create_task(self._write_for_ever(), context=Context())
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
                traces = {id(each.trace): each.trace for each in batch.values()}
                with tracing.together("cache write", traces.values()):
                    await self._attempt("set", self._write, batch, budget=1.0)
                for key, waiting in batch.items():
                    if self._pending[key] is waiting:  # else there is news of it already
                        del self._pending[key]

    async def _write(self, batch: Mapping[bytes, _Waiting]) -> None:
        pipeline = self._redis.pipeline()
        size = 0
        for key, (row, _) in batch.items():
            if row is not None:
                value = encode(key, row)
                size += len(value)
                pipeline.set(key, value, ex=self._ttl_s)
            if self.claim_s:  # after the value: who finds no claim has to find it
                pipeline.delete(claim_on(key))
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
        except (*FAILURES, ValueError) as error:
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
