"""Recall in a Redis with the query engine (Redis 8, or a server with the search module): HNSW, BM25, filters.

A document is one hash under `siftline:d:UID:ID`, where UID is new with every creation of a collection: documents of
a dropped collection are out of reach of a new one of the same name, whatever their ids hold.
"""

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from gateway.recall import Collection, Document, FieldType, Indexed, Passage
from gateway.recall.connection import answering, connect
from gateway.recall.filter import parse
from gateway.recall.query import compile_filter, compile_words, number_attribute, tag, tag_attribute
from serving.errors import SiftlineError, Unavailable

log = logging.getLogger(__name__)

# One command, so that no reader and no crash sees half of it; DEL because HSET alone would keep old fields.
# The first line makes a full server refuse the script as a whole: without it, HSET after DEL is let through.
_REPLACE = "#!lua\nredis.call('DEL', KEYS[1]) redis.call('HSET', KEYS[1], unpack(ARGV)) return 1"
_HNSW_LINKS = 16
_HNSW_EF_CONSTRUCTION = 200


class RedisIndex:
    """Implements Recall."""

    def __init__(self, url: str, *, timeout_s: float, ef_runtime: int, durable: bool) -> None:
        self._redis = connect(url, timeout_s)
        self._timeout_s = timeout_s
        self._ef_runtime = ef_runtime
        self._durable = durable

    @property
    def redis(self) -> Any:
        """The connection pool, which the registry of collections shares."""
        return self._redis

    async def aclose(self) -> None:
        await self._redis.aclose()

    async def create(self, collection: Collection, timeout_s: float) -> None:
        """Makes the empty index of a new collection."""
        async with answering(timeout_s):
            await self._redis.execute_command("FT.CREATE", *_schema(collection))

    async def drop(self, uid: str, timeout_s: float) -> None:
        """Drops an index and its documents; nothing when it is not there."""
        async with answering(timeout_s):
            if _index(uid).encode() in await self._redis.execute_command("FT._LIST"):
                await self._redis.execute_command("FT.DROPINDEX", _index(uid), "DD")

    async def upsert(self, collection: Collection, documents: Sequence[Indexed], timeout_s: float) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for document in documents:
            key = _key(collection.uid, document.document.id)
            pipeline.execute_command("EVAL", _REPLACE, 1, key, *_hash(document))
        await self._write(pipeline, timeout_s)

    async def vectors(
        self, collection: Collection, documents: Sequence[Document], timeout_s: float
    ) -> list[bytes | None]:
        pipeline = self._redis.pipeline(transaction=False)
        for document in documents:
            pipeline.hmget(_key(collection.uid, document.id), "digest", "vector")
        async with answering(timeout_s):
            rows = await pipeline.execute()
        pairs = zip(documents, rows, strict=True)
        return [vector if digest == _digest(document) else None for document, (digest, vector) in pairs]

    async def delete(self, collection: Collection, ids: Sequence[str], timeout_s: float) -> int:
        pipeline = self._redis.pipeline(transaction=False)
        for identity in dict.fromkeys(ids):
            pipeline.delete(_key(collection.uid, identity))
        return sum(await self._write(pipeline, timeout_s))

    async def get(self, collection: Collection, ids: Sequence[str], timeout_s: float) -> list[Document]:
        pipeline = self._redis.pipeline(transaction=False)
        for identity in ids:
            pipeline.hmget(_key(collection.uid, identity), "text", "title", "metadata")
        async with answering(timeout_s):
            rows = await pipeline.execute()
        found = zip(ids, rows, strict=True)
        return [
            Document(identity, text.decode(), (title or b"").decode(), (metadata or b"").decode())
            for identity, (text, title, metadata) in found
            if text is not None
        ]

    async def count(self, collection: Collection, filter_text: str, timeout_s: float) -> int:
        query = compile_filter(parse(filter_text, collection.fields))
        reply = await self._search(collection, query, ["NOCONTENT", "LIMIT", 0, 0], {}, timeout_s)
        return int(reply[0])

    async def nearest(
        self, collection: Collection, vector: bytes, depth: int, filter_text: str, timeout_s: float
    ) -> list[Passage]:
        condition = compile_filter(parse(filter_text, collection.fields))
        query = f"({condition})=>[KNN $k @vector $vector EF_RUNTIME $ef AS distance]"
        if condition == "*":
            query = query.replace("(*)", "*", 1)
        parameters = {"k": depth, "vector": vector, "ef": max(self._ef_runtime, depth)}
        arguments = ["RETURN", 4, "text", "title", "metadata", "distance", "SORTBY", "distance", "LIMIT", 0, depth]
        reply = await self._search(collection, query, arguments, parameters, timeout_s)
        found = [
            Passage(_document(collection, key, fields), cosine=1.0 - float(fields[b"distance"]))
            for key, fields in _rows(reply)
        ]
        found.sort(key=lambda passage: (-(passage.cosine or 0.0), passage.document.id))
        for rank, passage in enumerate(found, 1):
            passage.vector_rank = rank
        return found

    async def matching(
        self, collection: Collection, query: str, depth: int, filter_text: str, timeout_s: float
    ) -> list[Passage]:
        condition = compile_filter(parse(filter_text, collection.fields))
        words = compile_words(query)
        if words is None:
            return []
        full = words if condition == "*" else f"{condition} {words}"
        arguments = ["WITHSCORES", "SCORER", "BM25STD", "RETURN", 3, "text", "title", "metadata", "LIMIT", 0, depth]
        reply = await self._search(collection, full, arguments, {}, timeout_s)
        found = [
            Passage(_document(collection, key, _pairs(fields)), bm25=float(score))
            for key, score, fields in zip(reply[1::3], reply[2::3], reply[3::3], strict=True)
            if fields is not None
        ]
        found.sort(key=lambda passage: (-(passage.bm25 or 0.0), passage.document.id))
        for rank, passage in enumerate(found, 1):
            passage.text_rank = rank
        return found

    async def cosines(
        self, collection: Collection, vector: bytes, documents: Sequence[Document], timeout_s: float
    ) -> list[float]:
        """Cosine of each stored document to the fp16 `vector`."""
        pipeline = self._redis.pipeline(transaction=False)
        for document in documents:
            pipeline.hget(_key(collection.uid, document.id), "vector")
        async with answering(timeout_s):
            stored = await pipeline.execute()
        query = np.frombuffer(vector, "<f2").astype(np.float32)
        zero = bytes(len(vector))
        rows = np.stack([np.frombuffer(row or zero, "<f2") for row in stored]).astype(np.float32)
        norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
        return [float(value) for value in rows @ query / np.maximum(norms, 1e-12)]

    async def is_ready(self, timeout_s: float = 2.0) -> bool:
        """Whether the server answers and has the query engine."""
        try:
            async with answering(timeout_s):
                await self._redis.execute_command("FT._LIST")
        except SiftlineError as error:
            log.warning("index is not ready: %s", error)
            return False
        return True

    async def fail_late_searches(self) -> None:
        """Asks the engine to fail a search that runs out of time instead of answering with a part of the hits."""
        try:
            async with answering(self._timeout_s):
                await self._redis.execute_command("FT.CONFIG", "SET", "ON_TIMEOUT", "FAIL")
        except SiftlineError as error:  # a managed Redis may forbid it
            log.warning("index: ON_TIMEOUT FAIL could not be set (%s); a late search may miss hits", error)

    async def _search(
        self, collection: Collection, query: str, arguments: list[Any], parameters: dict[str, Any], timeout_s: float
    ) -> list[Any]:
        left = min(timeout_s, self._timeout_s)
        flat = [part for pair in parameters.items() for part in pair]
        bound = ["PARAMS", len(flat), *flat] if flat else []
        command = [_index(collection.uid), query, *arguments, *bound, "TIMEOUT", max(1, int(left * 1000)), "DIALECT", 2]
        async with answering(left):
            reply: list[Any] = await self._redis.execute_command("FT.SEARCH", *command)
        return reply

    async def _write(self, pipeline: Any, timeout_s: float) -> list[Any]:
        """Replies of the pipeline's commands, once they are on disk."""
        left = min(timeout_s, self._timeout_s)
        if self._durable:
            pipeline.execute_command("WAITAOF", 1, 0, max(1, int(left * 1000)))
        async with answering(left):
            replies: list[Any] = await pipeline.execute()
        if self._durable and replies.pop()[0] < 1:
            raise Unavailable("index: written, but not on disk in time")
        return replies


def _schema(collection: Collection) -> list[Any]:
    vector = ["TYPE", "FLOAT16", "DIM", collection.dimensions, "DISTANCE_METRIC", "COSINE"]
    vector += ["M", _HNSW_LINKS, "EF_CONSTRUCTION", _HNSW_EF_CONSTRUCTION]
    schema: list[Any] = ["title", "TEXT", "text", "TEXT", "vector", "VECTOR", "HNSW", len(vector), *vector]
    for name, kind in collection.fields.items():
        schema += [tag_attribute(name), "TAG"] if kind is FieldType.TAG else [number_attribute(name), "NUMERIC"]
    return [_index(collection.uid), "ON", "HASH", "PREFIX", 1, _key(collection.uid, ""), "SCHEMA", *schema]


def _hash(indexed: Indexed) -> list[Any]:
    document = indexed.document
    fields: list[Any] = ["text", document.text, "title", document.title, "metadata", document.metadata]
    fields += ["vector", indexed.vector, "digest", _digest(document)]
    for name, values in indexed.tags.items():
        fields += [tag_attribute(name), ",".join(map(tag, values))]
    for name, number in indexed.numbers.items():
        fields += [number_attribute(name), repr(number)]
    return fields


def _digest(document: Document) -> bytes:
    """What tells whether a stored vector is still that of the document."""
    return hashlib.blake2b(document.passage.encode(), digest_size=16).hexdigest().encode()


def _index(uid: str) -> str:
    return f"siftline:i:{uid}"


def _key(uid: str, identity: str) -> str:
    """The hash of a document. The engine reads keys up to the first NUL, so NUL is spelt out, reversibly."""
    escaped = identity.replace("%", "%25").replace("\0", "%00")
    return f"siftline:d:{uid}:{escaped}"


def _identity(uid: str, key: bytes) -> str:
    return key.decode().removeprefix(_key(uid, "")).replace("%00", "\0").replace("%25", "%")


def _rows(reply: list[Any]) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Key and fields of each hit; one that was deleted while the search ran has no fields and is left out."""
    return [(key, _pairs(fields)) for key, fields in zip(reply[1::2], reply[2::2], strict=True) if fields is not None]


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _document(collection: Collection, key: bytes, fields: dict[bytes, bytes]) -> Document:
    text, title, metadata = (fields.get(name, b"").decode() for name in (b"text", b"title", b"metadata"))
    return Document(_identity(collection.uid, key), text, title, metadata)
