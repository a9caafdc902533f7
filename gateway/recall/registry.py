"""The collections: one Redis hash from name to record, beside the index. The record names the index that holds it."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from gateway.calibration import Calibration, Isotonic, Platt
from gateway.caller import CALLER
from gateway.recall import Collection, FieldType, Recall
from gateway.recall.connection import answering
from serving.errors import AlreadyExists, FailedPrecondition, NotFound, Unavailable

REGISTRY = "siftline:collections"
DROPPED = "siftline:dropped"  # uids whose documents are still to be removed, by the time from which they may be
_ATTEMPTS = 100  # at a change that others get in the way of
# Writes a record only over the one that was read, so that neither a drop nor another change is undone.
_SWAP = (
    "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end"
)


class Registry:
    """Creates, finds and drops collections. Every reply is what Redis holds now: gateways share nothing else."""

    def __init__(self, redis: Any, index: Recall, timeout_s: float) -> None:
        self._redis = redis
        self._index = index
        self._timeout_s = timeout_s

    async def create(
        self,
        name: str,
        *,
        fingerprint: str,
        model: str,
        dimensions: int,
        fields: Mapping[str, FieldType],
        recall_weight: float,
        language: str,
    ) -> Collection:
        """A new, empty collection. Raises AlreadyExists. Its index is there before its name is."""
        uid = secrets.token_hex(8)
        collection = Collection(name, uid, fingerprint, model, dimensions, fields, recall_weight, language=language)
        async with answering(self._timeout_s):
            taken = await self._redis.hexists(REGISTRY, field_of(name))
        if not taken:
            await self._index.create(collection, self._timeout_s)
            async with answering(self._timeout_s):
                taken = not await self._redis.hsetnx(REGISTRY, field_of(name), dump(collection))
            if taken:
                await self._index.drop(collection.uid, self._timeout_s)
        if taken:
            raise AlreadyExists(f"collection {name!r} exists already")
        return collection

    async def get(self, name: str) -> Collection:
        """Raises NotFound."""
        return load(await self.record(name))

    async def calibrate(self, name: str, calibration: Calibration | None, recall_weight: float | None) -> Collection:
        """The collection with this calibration, and with this weight unless it is None. Raises NotFound."""
        for _ in range(_ATTEMPTS):
            record = await self.record(name)
            collection = replace(load(record), calibration=calibration)
            if recall_weight is not None:
                collection = replace(collection, recall_weight=recall_weight)
            async with answering(self._timeout_s):
                written = await self._redis.eval(_SWAP, 1, REGISTRY, field_of(name), record, dump(collection))
            if written is not None:
                return collection
        raise Unavailable(f"collection {name!r} is being changed by others all the time; try again")

    async def record(self, name: str) -> bytes:
        """The collection as Redis holds it. Raises NotFound."""
        async with answering(self._timeout_s):
            record: bytes | None = await self._redis.hget(REGISTRY, field_of(name))
        if record is None:
            raise NotFound(f"collection {name!r} does not exist")
        return record

    async def all(self) -> list[Collection]:
        """Those of the caller's tenant, by name."""
        async with answering(self._timeout_s):
            records = await self._redis.hgetall(REGISTRY)
        collections = {field: load(record) for field, record in records.items()}
        own = [known for field, known in collections.items() if field.decode() == field_of(known.name)]
        return sorted(own, key=lambda collection: collection.name)

    async def everyones(self) -> list[tuple[str, Collection]]:
        """Of all tenants, with whose they are."""
        async with answering(self._timeout_s):
            records = await self._redis.hgetall(REGISTRY)
        return [(field.decode().rpartition("/")[0], load(record)) for field, record in sorted(records.items())]

    async def discard(self, uid: str, after_s: float) -> None:
        """Has an index that no name leads to removed, once searches that began before are over."""
        async with answering(self._timeout_s):
            await self._redis.zadd(DROPPED, {uid: time.time() + after_s})

    async def drop(self, name: str) -> None:
        """Raises NotFound. From the first write on nobody finds it; `sweep` finishes what a crash interrupts."""
        collection = await self.get(name)
        async with answering(self._timeout_s):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hdel(REGISTRY, field_of(name))
            pipeline.zadd(DROPPED, {collection.uid: time.time()})
            await pipeline.execute()
        await self.sweep()

    async def sweep(self) -> None:
        """Removes the documents of dropped collections that no search looks at any more."""
        async with answering(self._timeout_s):
            dropped = await self._redis.zrangebyscore(DROPPED, "-inf", time.time())
        for uid in dropped:
            await self._index.drop(uid.decode(), self._timeout_s)
            async with answering(self._timeout_s):
                await self._redis.zrem(DROPPED, uid)


def field_of(name: str) -> str:
    """Where a collection of the caller's tenant is recorded. No name holds a slash, so tenants' names never meet."""
    tenant = CALLER.get().tenant
    return f"{tenant}/{name}" if tenant else name


def check_model(collection: Collection, fingerprint: str) -> None:
    """Raises FailedPrecondition, naming both models, unless the collection holds vectors of this one."""
    if collection.fingerprint != fingerprint:
        raise FailedPrecondition(
            f"collection {collection.name!r} holds vectors of model {collection.model!r} ({collection.fingerprint}), "
            f"but the model in service has the fingerprint {fingerprint}",
            reason="MODEL_MISMATCH",
        )


def dump(collection: Collection) -> str:
    return json.dumps(
        {
            "name": collection.name,
            "uid": collection.uid,
            "fingerprint": collection.fingerprint,
            "model": collection.model,
            "dimensions": collection.dimensions,
            "fields": {name: kind.value for name, kind in collection.fields.items()},
            "recall_weight": collection.recall_weight,
            "calibration": asdict(collection.calibration) if collection.calibration else None,
            "language": collection.language,
        }
    )


def load(record: bytes) -> Collection:
    facts = json.loads(record)
    facts["fields"] = {name: FieldType(kind) for name, kind in facts["fields"].items()}
    facts["calibration"] = _calibration(facts.get("calibration"))
    return Collection(**facts)


def _calibration(facts: dict[str, Any] | None) -> Calibration | None:
    if facts is None:
        return None
    values = facts["probability"]
    return Calibration(facts["fingerprint"], Platt(**values) if "slope" in values else Isotonic(**values))
