"""Documents in: checked against the collection, embedded in the bulk lane, stored in order, acknowledged last."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from gateway.chunking import PARENT, Chunker
from gateway.chunks import Chunks, firsts
from gateway.deadline import Deadline
from gateway.embedder import Embedder
from gateway.embedding_value import Row
from gateway.intake import Intake
from gateway.metadata import Incoming, fitting, indexed
from gateway.metrics import DOCUMENTS, stage
from gateway.patience import patiently
from gateway.prefix import prefix
from gateway.recall import Collection, Frozen, Indexed, Recall
from gateway.recall.registry import Registry, check_model
from gateway.settings import GatewaySettings
from siftline.chunking import Chunking
from siftline.embed.v1 import embed_pb2


@dataclass(slots=True)
class Stored:
    """What was acknowledged. `tokens` of the texts that were embedded; `reused` documents kept their stored vector.

    `unchanged`: documents of which every chunk was there already, as it is.
    """

    documents: int = 0
    tokens: int = 0
    reused: int = 0
    unchanged: int = 0


@dataclass(slots=True)
class _Target:
    """Where documents go. The collection changes when a rebuilt one takes its place; `source` has vectors to reuse."""

    collection: Collection
    source: Collection
    deadline: Deadline
    durable: bool | None = None
    chunking: Chunking | None = None
    stored: Stored = field(default_factory=Stored)


@dataclass(frozen=True, slots=True)
class _Vectors:
    """fp16 vectors of documents, for the collection of this uid."""

    uid: str
    vectors: list[bytes]
    tokens: int
    reused: int


@dataclass(frozen=True, slots=True)
class _Batch:
    incoming: Sequence[Incoming]
    vectors: "asyncio.Task[_Vectors]"


class Ingest:
    """Batches are embedded several at a time and stored one by one: of two documents of one id the later stays."""

    def __init__(
        self,
        registry: Registry,
        index: Recall,
        embedder: Embedder,
        chunker: Chunker,
        chunks: Chunks,
        settings: GatewaySettings,
    ) -> None:
        self._registry = registry
        self._index = index
        self._embedder = embedder
        self._chunker = chunker
        self._chunks = chunks
        self._settings = settings

    async def run(
        self,
        name: str,
        arriving: AsyncIterator[Sequence[Incoming]],
        deadline: Deadline,
        intake: Intake,
        durable: bool | None = None,
        chunking: Chunking | None = None,
    ) -> Stored:
        """Stores all that arrives and that `intake` takes; returns once all of it is as `durable` as asked for.

        With `chunking` documents are stored as their chunks, each of which counts.

        After an error some documents may be stored; doing it again is safe and costs no embedding of those that are.
        Raises NotFound, FailedPrecondition, InvalidArgument("documents[i].metadata"), Unavailable, Overloaded,
        DeadlineExceeded.
        """
        collection = await self._registry.get(name)
        return await self._into(_Target(collection, collection, deadline, durable, chunking), arriving, intake)

    async def into(
        self,
        collection: Collection,
        arriving: AsyncIterator[Sequence[Incoming]],
        deadline: Deadline,
        source: Collection,
    ) -> Stored:
        """As `run`, into a collection that need not have a name yet, reusing vectors of `source`."""
        return await self._into(_Target(collection, source, deadline), arriving, Intake(skip_invalid=False))

    async def _into(self, target: _Target, arriving: AsyncIterator[Sequence[Incoming]], intake: Intake) -> Stored:
        size, waiting = self._settings.upsert_batch, deque[_Batch]()
        try:
            async for some in arriving:
                documents = fitting(target.collection, some, intake)
                if target.chunking is not None:
                    documents = await self._cut(target, documents, target.chunking, intake, waiting)
                for at in range(0, len(documents), size):
                    waiting.append(self._start(target, documents[at : at + size]))
                    if len(waiting) > self._settings.upsert_overlap:
                        await self._store(target, waiting.popleft())
            while waiting:
                await self._store(target, waiting.popleft())
        finally:
            for batch in waiting:
                batch.vectors.cancel()
            await asyncio.gather(*(batch.vectors for batch in waiting), return_exceptions=True)
        return target.stored

    async def _cut(
        self,
        target: _Target,
        documents: Sequence[Incoming],
        size: Chunking,
        intake: Intake,
        waiting: Sequence[_Batch],
    ) -> list[Incoming]:
        """Chunks of the documents that are not stored so already. What waits to be stored may change that."""
        under_way = {str(one.metadata[PARENT]) for batch in waiting for one in batch.incoming}
        lacking = await self._chunks.lacking(target.collection, documents, size, under_way, target.deadline)
        target.stored.unchanged += len(documents) - len(lacking)
        return await self._chunker.cut(target.collection, lacking, size, target.deadline, intake)

    def _start(self, target: _Target, incoming: Sequence[Incoming]) -> _Batch:
        async def attempt() -> _Vectors:
            return await self._vectors(target, incoming)

        patience = self._settings.upsert_patience_s
        return _Batch(incoming, asyncio.create_task(patiently(attempt, patience, target.deadline)))

    async def _vectors(self, target: _Target, incoming: Sequence[Incoming]) -> _Vectors:
        """Vectors of the documents: those stored for the same text, and new ones for the rest."""
        collection, documents = target.collection, [one.document for one in incoming]
        known = await self._index.vectors(target.source, documents, target.deadline.require())
        new = [document.passage for document, vector in zip(documents, known, strict=True) if vector is None]
        embedded = await self._embed(collection, new, target.deadline) if new else []
        computed = iter(embedded)
        vectors = [next(computed).vector if vector is None else vector for vector in known]
        return _Vectors(collection.uid, vectors, sum(row.tokens for row in embedded), len(known) - len(new))

    async def _embed(self, collection: Collection, texts: Sequence[str], deadline: Deadline) -> list[Row]:
        limits = (await self._embedder.model(deadline)).limits
        request = embed_pb2.EmbedRequest(
            texts=[prefix(text, limits.max_text_bytes) for text in texts],
            side=embed_pb2.SIDE_DOCUMENT,
            dtype=embed_pb2.DTYPE_FLOAT16,
            truncation=embed_pb2.TRUNCATION_END,
            priority=embed_pb2.PRIORITY_BULK,
        )
        cached = self._settings.cache_documents
        embedded = await self._embedder.embed_with(collection.fingerprint, request, deadline, cached=cached)
        check_model(collection, embedded.fingerprint)
        return embedded.rows

    async def _store(self, target: _Target, batch: _Batch) -> None:
        with stage("embed"):
            got = await batch.vectors

        async def attempt() -> _Vectors:
            fitting = got if got.uid == target.collection.uid else await self._vectors(target, batch.incoming)
            await self._write(target, batch.incoming, fitting.vectors)
            return fitting

        with stage("store"):
            got = await patiently(attempt, self._settings.upsert_patience_s, target.deadline)
        target.stored.documents += len(batch.incoming)
        target.stored.tokens += got.tokens
        target.stored.reused += got.reused
        DOCUMENTS.labels("reused").inc(got.reused)
        DOCUMENTS.labels("computed").inc(len(batch.incoming) - got.reused)

    async def _write(self, target: _Target, incoming: Sequence[Incoming], vectors: Sequence[bytes]) -> None:
        pairs = zip(incoming, vectors, strict=True)
        documents = [indexed(target.collection, one, vector) for one, vector in pairs]
        try:
            write = self._write_whole if target.chunking is None else self._write_chunks
            await write(target, incoming, documents)
        except Frozen:
            target.collection = target.source = await self._registry.get(target.collection.name)
            raise

    async def _write_chunks(self, target: _Target, incoming: Sequence[Incoming], documents: Sequence[Indexed]) -> None:
        await self._chunks.trim(target.collection, incoming, target.deadline)
        await self._index.upsert(target.collection, documents, target.deadline.require(), target.durable)

    async def _write_whole(self, target: _Target, incoming: Sequence[Incoming], documents: Sequence[Indexed]) -> None:
        """Whether they were chunks before is asked along with the write: most never were."""
        ids = [one.document.id for one in incoming]
        left = target.deadline.require()
        before = await self._index.upsert(target.collection, documents, left, target.durable, firsts(ids))
        await self._chunks.clear(target.collection, ids, before, target.deadline)
