"""A collection built anew beside the old one, and the moment at which it takes the old one's place.

While it lasts, the old collection keeps a journal of the ids that are written (the write scripts see to it). At the
end it is frozen, the rest of the journal is carried over, and one script puts the new record where the old one was:
nobody sees a collection that is half of each. A crash leaves the old one in service, and what was built for later.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from gateway.recall import Collection, FieldType, Recall
from gateway.recall.connection import answering
from gateway.recall.layout import frozen_key, journal_key
from gateway.recall.registry import REGISTRY, Registry, dump, field_of, load
from serving.errors import FailedPrecondition, SiftlineError, Unavailable

_BUILDING = "siftline:building"  # name to record of the collection that is being built
_LOCK_S = 30
_FROZEN_S = 60
_OLD_SEARCHES_S = 60.0
_SENTINEL = ""  # keeps the journal in being while it is empty; no id is empty

# Only while the old record is in place, its writes are refused, and its journal holds nothing but the sentinel.
_TAKE_OVER = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 'record' end
if redis.call('EXISTS', KEYS[3]) == 0 or redis.call('SCARD', KEYS[2]) > 1 then return 'writes' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('PERSIST', KEYS[3])
redis.call('DEL', KEYS[2])
return 'done'
"""
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class Rebuild:
    """One rebuild of one collection."""

    def __init__(self, redis: Any, index: Recall, registry: Registry, timeout_s: float) -> None:
        self._redis = redis
        self._index = index
        self._registry = registry
        self._timeout_s = timeout_s

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[None]:
        """Holds the right to rebuild a collection. Raises FailedPrecondition while another holds it."""
        lock, token = f"siftline:rebuild:{field_of(name)}", secrets.token_hex(8)
        async with answering(self._timeout_s):
            held = await self._redis.set(lock, token, nx=True, ex=_LOCK_S)
        if not held:
            raise FailedPrecondition(f"collection {name!r} is being rebuilt already", reason="REBUILDING")
        renewal = asyncio.create_task(self._renew(lock))
        try:
            yield
        finally:
            renewal.cancel()
            with suppress(SiftlineError):
                async with answering(self._timeout_s):
                    await self._redis.eval(_UNLOCK, 1, lock, token)

    async def begin(
        self, old: Collection, *, fingerprint: str, model: str, dimensions: int, fields: Mapping[str, FieldType]
    ) -> Collection:
        """The collection to fill: a new one, or what an earlier rebuild to the same model and fields left behind."""
        new = replace(
            old, uid=secrets.token_hex(8), fingerprint=fingerprint, model=model, dimensions=dimensions, fields=fields
        )
        async with answering(self._timeout_s):
            await self._redis.sadd(journal_key(old.uid), _SENTINEL)
            left = await self._redis.hget(_BUILDING, field_of(old.name))
        if left is not None:
            earlier = load(left)
            if replace(earlier, uid=new.uid) == new:
                return earlier
            await self._registry.discard(earlier.uid, 0.0)
        await self._index.create(new, self._timeout_s)
        async with answering(self._timeout_s):
            await self._redis.hset(_BUILDING, field_of(old.name), dump(new))
        return new

    async def written(self, old: Collection, count: int) -> list[str]:
        """Takes ids out of the journal: written or deleted since it began. None are left when the list is empty."""
        async with answering(self._timeout_s):
            members = await self._redis.srandmember(journal_key(old.uid), count + 1)
            ids = [member.decode() for member in members if member]
            if ids:
                await self._redis.srem(journal_key(old.uid), *ids)
        return ids

    async def freeze(self, old: Collection) -> None:
        """From now on writes to the old collection are refused, for a minute at most."""
        async with answering(self._timeout_s):
            await self._redis.set(frozen_key(old.uid), 1, ex=_FROZEN_S)

    async def thaw(self, old: Collection) -> None:
        """Gives the rebuild up: the old collection stays."""
        async with answering(self._timeout_s):
            await self._redis.delete(frozen_key(old.uid), journal_key(old.uid))

    async def take_over(self, old: Collection, new: Collection) -> Collection:
        """Puts the new collection in the old one's place. Raises FailedPrecondition, Unavailable."""
        for _ in range(10):
            record = await self._registry.record(old.name)
            current = load(record)
            if current.uid != old.uid:
                raise FailedPrecondition(f"collection {old.name!r} was dropped or replaced while it was rebuilt")
            # what was set meanwhile is kept
            taken = replace(new, recall_weight=current.recall_weight, calibration=current.calibration)
            keys = (REGISTRY, journal_key(old.uid), frozen_key(old.uid), _BUILDING)
            async with answering(self._timeout_s):
                outcome = await self._redis.eval(_TAKE_OVER, len(keys), *keys, field_of(old.name), record, dump(taken))
            if outcome == b"done":
                await self._registry.discard(old.uid, _OLD_SEARCHES_S)
                return taken
            if outcome == b"writes":
                break
        raise Unavailable(f"collection {old.name!r} was written to at the last moment, try again")

    async def _renew(self, lock: str) -> None:
        while True:
            await asyncio.sleep(_LOCK_S / 3)
            with suppress(SiftlineError):
                async with answering(self._timeout_s):
                    await self._redis.expire(lock, _LOCK_S)
