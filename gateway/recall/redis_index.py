"""Recall in a Redis with the query engine (Redis 8, or a server with the search module): HNSW, BM25, filters."""

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np

from gateway.recall import Collection, Document, Indexed, Passage, Sought, layout
from gateway.recall.connection import MISSING, answering, connect
from gateway.recall.filter import Filter
from gateway.recall.layout import document_key, index_name, pairs, stored_document
from gateway.recall.query import compile_filter, compile_words
from gateway.recall.scripts import DELETE, REPLACE
from serving import tracing
from serving.errors import SiftlineError, Unavailable

log = logging.getLogger(__name__)


class RedisIndex:
    """Implements Recall."""

    def __init__(self, url: str, *, timeout_s: float, ef_runtime: int, durable: bool) -> None:
        self._redis = connect(url, timeout_s)
        self._timeout_s = timeout_s
        self.ef_runtime = ef_runtime
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
            await self._redis.execute_command("FT.CREATE", *layout.create_arguments(collection))

    async def drop(self, uid: str, timeout_s: float) -> None:
        """Drops an index and its documents; nothing when it is not there."""
        try:
            async with answering(timeout_s):
                await self._redis.execute_command("FT.DROPINDEX", index_name(uid), "DD")
        except Unavailable as error:
            if error.reason != MISSING:
                raise
        async with answering(timeout_s):
            await self._redis.delete(layout.journal_key(uid), layout.frozen_key(uid))

    async def scan(self, collection: Collection) -> AsyncIterator[list[str]]:
        """Ids in pages. An id that is there all the time is in one of them at least."""
        cursor, pattern = 0, f"{document_key(collection.uid, '')}*"
        while True:
            async with answering(self._timeout_s):
                cursor, keys = await self._redis.scan(cursor, match=pattern, count=1000)
            yield [layout.identity(collection.uid, key) for key in keys]
            if cursor == 0:
                return

    async def upsert(
        self,
        collection: Collection,
        documents: Sequence[Indexed],
        timeout_s: float,
        durable: bool | None = None,
        beside: Sequence[str] = (),
    ) -> list[Document]:
        pipeline = self._redis.pipeline(transaction=False)
        _ask(pipeline, collection, beside)
        for indexed in documents:
            _script(pipeline, REPLACE, collection, indexed.document.id, *layout.hash_fields(indexed))
        replies = await self._write(pipeline, timeout_s, self._durable if durable is None else durable)
        return _found(beside, replies[: len(beside)])

    async def vectors(
        self, collection: Collection, documents: Sequence[Document], timeout_s: float
    ) -> list[bytes | None]:
        pipeline = self._redis.pipeline(transaction=False)
        for document in documents:
            pipeline.hmget(document_key(collection.uid, document.id), "digest", "vector")
        async with answering(timeout_s):
            rows = await pipeline.execute()
        pairs = zip(documents, rows, strict=True)
        return [vector if digest == layout.digest(document) else None for document, (digest, vector) in pairs]

    async def delete(self, collection: Collection, ids: Sequence[str], timeout_s: float) -> int:
        pipeline = self._redis.pipeline(transaction=False)
        for identity in dict.fromkeys(ids):
            _script(pipeline, DELETE, collection, identity)
        return sum(await self._write(pipeline, timeout_s, self._durable))

    async def get(self, collection: Collection, ids: Sequence[str], timeout_s: float) -> list[Document]:
        pipeline = self._redis.pipeline(transaction=False)
        _ask(pipeline, collection, ids)
        async with answering(timeout_s):
            rows = await pipeline.execute()
        return _found(ids, rows)

    async def count(self, collection: Collection, where: Filter | None, timeout_s: float) -> int:
        query = compile_filter(where)
        reply = await self._search(collection, query, ["NOCONTENT", "LIMIT", 0, 0], {}, timeout_s)
        return int(reply[0])

    async def nearest(self, collection: Collection, vector: bytes, sought: Sought, timeout_s: float) -> list[Passage]:
        condition, depth = compile_filter(sought.where), sought.depth
        query = f"({condition})=>[KNN $k @vector $vector EF_RUNTIME $ef AS distance]"
        if condition == "*":
            query = query.replace("(*)", "*", 1)
        parameters = {"k": depth, "vector": vector, "ef": max(self.ef_runtime, depth)}
        wanted = (*layout.TEXTS, "distance") if sought.texts else ("distance",)
        arguments = ["RETURN", len(wanted), *wanted, "SORTBY", "distance", "LIMIT", 0, depth]
        reply = await self._search(collection, query, arguments, parameters, timeout_s)
        found = [
            Passage(stored_document(collection, key, fields), cosine=1.0 - float(fields[b"distance"]))
            for key, fields in layout.hits(reply)
        ]
        found.sort(key=lambda passage: (-(passage.cosine or 0.0), passage.document.id))
        for rank, passage in enumerate(found, 1):
            passage.vector_rank = rank
        return found

    async def matching(self, collection: Collection, query: str, sought: Sought, timeout_s: float) -> list[Passage]:
        condition = compile_filter(sought.where)
        words = compile_words(query, collection.language)
        if words is None:
            return []
        full = words if condition == "*" else f"{condition} {words}"
        wanted = layout.TEXTS if sought.texts else ("title",)  # with none at all, replies have another form
        arguments: list[Any] = ["WITHSCORES", "SCORER", "BM25STD", "LANGUAGE", collection.language]
        arguments += ["RETURN", len(wanted), *wanted, "LIMIT", 0, sought.depth]
        reply = await self._search(collection, full, arguments, {}, timeout_s)
        found = [
            Passage(stored_document(collection, key, pairs(fields)), bm25=float(score))
            for key, score, fields in zip(reply[1::3], reply[2::3], reply[3::3], strict=True)
            if fields is not None
        ]
        found.sort(key=lambda passage: (-(passage.bm25 or 0.0), passage.document.id))
        for rank, passage in enumerate(found, 1):
            passage.text_rank = rank
        return found

    async def complete(
        self, collection: Collection, vector: bytes | None, passages: Sequence[Passage], timeout_s: float
    ) -> list[Passage]:
        pipeline, lacking = self._redis.pipeline(transaction=False), []
        for passage in passages:
            texts = () if passage.document.is_whole else layout.TEXTS
            unknown = ("vector",) if vector is not None and passage.cosine is None else ()
            if wanted := (*texts, *unknown):
                pipeline.hmget(document_key(collection.uid, passage.document.id), *wanted)
                lacking.append(passage)
        async with answering(timeout_s):
            rows = await pipeline.execute()
        gone = set()
        for passage, row in zip(lacking, rows, strict=True):
            if row[0] is None:
                gone.add(passage.document.id)
            else:
                _fill(passage, row, vector)
        return [passage for passage in passages if passage.document.id not in gone]

    async def is_ready(self, timeout_s: float = 2.0) -> bool:
        """Whether the server answers and has the query engine."""
        try:
            async with answering(timeout_s):
                await self._redis.execute_command("FT._LIST")
        except SiftlineError:
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
        command = [
            index_name(collection.uid),
            query,
            *arguments,
            *bound,
            "TIMEOUT",
            max(1, int(left * 1000)),
            "DIALECT",
            2,
        ]
        async with answering(left):
            reply: list[Any] = await self._redis.execute_command("FT.SEARCH", *command)
        return reply

    async def _write(self, pipeline: Any, timeout_s: float, durable: bool) -> list[Any]:
        """Replies of the pipeline's commands, if `durable` once they are on disk."""
        left = min(timeout_s, self._timeout_s)
        if durable:
            pipeline.execute_command("WAITAOF", 1, 0, max(1, int(left * 1000)))
        with tracing.span("index write"):
            async with answering(left):
                replies: list[Any] = await pipeline.execute()
        if durable and replies.pop()[0] < 1:
            raise Unavailable("index: written, but not on disk in time")
        return replies


def _fill(passage: Passage, row: Sequence[bytes | None], vector: bytes | None) -> None:
    """`row`: the texts if they are lacking, the stored vector if the cosine is."""
    texts, stored = (row[:0], row) if passage.document.is_whole else (row[:3], row[3:])
    if texts:
        passage.document = Document(passage.document.id, *(part.decode() if part else "" for part in texts))
    if vector is not None and stored and stored[0] is not None:
        passage.cosine = _cosine(vector, stored[0])


def _cosine(one: bytes, other: bytes) -> float:
    """Of two fp16 vectors."""
    a, b = (np.frombuffer(vector, "<f2").astype(np.float32) for vector in (one, other))
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def _ask(pipeline: Any, collection: Collection, ids: Sequence[str]) -> None:
    """Queues a reading of each document."""
    for identity in ids:
        pipeline.hmget(document_key(collection.uid, identity), *layout.TEXTS)


def _found(ids: Sequence[str], rows: Sequence[Any]) -> list[Document]:
    """Those that exist, of what `_ask` is answered."""
    return [
        Document(identity, text.decode(), (title or b"").decode(), (metadata or b"").decode())
        for identity, (text, title, metadata) in zip(ids, rows, strict=True)
        if text is not None
    ]


def _script(pipeline: Any, script: str, collection: Collection, identity: str, *values: Any) -> None:
    """Queues a write of one document."""
    uid = collection.uid
    keys = (document_key(uid, identity), layout.journal_key(uid), layout.frozen_key(uid))
    pipeline.execute_command("EVAL", script, len(keys), *keys, identity, *values)
