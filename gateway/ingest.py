"""Documents in: checked against the collection, embedded in the bulk lane, stored in order, acknowledged last."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.deadline import Deadline
from gateway.embedder import Embedder
from gateway.metrics import DOCUMENTS, stage
from gateway.patience import patiently
from gateway.recall import Collection, Document, FieldType, Indexed, Recall
from gateway.recall.registry import Registry, check_model
from gateway.settings import GatewaySettings
from serving.errors import InvalidArgument
from siftline.embed.v1 import embed_pb2

MAX_TAGS = 256

Json: TypeAlias = "None | bool | float | str | list[Json] | dict[str, Json]"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A document as it came, with its metadata as values."""

    document: Document
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Stored:
    """What was acknowledged. `tokens` of the texts that were embedded; `reused` documents kept their stored vector."""

    documents: int = 0
    tokens: int = 0
    reused: int = 0


@dataclass(frozen=True, slots=True)
class _Vectors:
    vectors: list[bytes]
    tokens: int
    reused: int


@dataclass(frozen=True, slots=True)
class _Batch:
    incoming: Sequence[Incoming]
    vectors: "asyncio.Task[_Vectors]"


class Ingest:
    """Batches are embedded several at a time and stored one by one: of two documents of one id the later stays."""

    def __init__(self, registry: Registry, index: Recall, embedder: Embedder, settings: GatewaySettings) -> None:
        self._registry = registry
        self._index = index
        self._embedder = embedder
        self._settings = settings

    async def run(self, name: str, arriving: AsyncIterator[Sequence[Incoming]], deadline: Deadline) -> Stored:
        """Stores all that arrives and returns once all of it is durable.

        After an error some documents may be stored; doing it again is safe and costs no embedding of those that are.
        Raises NotFound, FailedPrecondition, InvalidArgument("documents[i].metadata"), Unavailable, Overloaded,
        DeadlineExceeded.
        """
        collection = await self._registry.get(name)
        stored, waiting, size = Stored(), deque[_Batch](), self._settings.upsert_batch
        try:
            async for documents in arriving:
                check_fields(collection, documents)
                for at in range(0, len(documents), size):
                    waiting.append(self._start(collection, documents[at : at + size], deadline))
                    if len(waiting) > self._settings.upsert_overlap:
                        await self._store(collection, waiting.popleft(), deadline, stored)
            while waiting:
                await self._store(collection, waiting.popleft(), deadline, stored)
        finally:
            for batch in waiting:
                batch.vectors.cancel()
            await asyncio.gather(*(batch.vectors for batch in waiting), return_exceptions=True)
        return stored

    def _start(self, collection: Collection, incoming: Sequence[Incoming], deadline: Deadline) -> _Batch:
        documents = [one.document for one in incoming]

        async def attempt() -> _Vectors:
            return await self._vectors(collection, documents, deadline)

        return _Batch(incoming, asyncio.create_task(patiently(attempt, self._settings.upsert_patience_s, deadline)))

    async def _vectors(self, collection: Collection, documents: Sequence[Document], deadline: Deadline) -> _Vectors:
        """Vectors of the documents: those stored for the same text, and new ones for the rest."""
        known = await self._index.vectors(collection, documents, deadline.require())
        new = [document.passage for document, vector in zip(documents, known, strict=True) if vector is None]
        if not new:
            return _Vectors([vector for vector in known if vector is not None], 0, len(known))
        request = embed_pb2.EmbedRequest(
            texts=new,
            side=embed_pb2.SIDE_DOCUMENT,
            dtype=embed_pb2.DTYPE_FLOAT16,
            truncation=embed_pb2.TRUNCATION_END,
            priority=embed_pb2.PRIORITY_BULK,
        )
        cached = self._settings.cache_documents
        embedded = await self._embedder.embed_with(collection.fingerprint, request, deadline, cached=cached)
        check_model(collection, embedded.fingerprint)
        computed = iter(embedded.rows)
        vectors = [next(computed).vector if vector is None else vector for vector in known]
        return _Vectors(vectors, sum(row.tokens for row in embedded.rows), len(known) - len(new))

    async def _store(self, collection: Collection, batch: _Batch, deadline: Deadline, stored: Stored) -> None:
        with stage("embed"):
            got = await batch.vectors
        pairs = zip(batch.incoming, got.vectors, strict=True)
        documents = [_indexed(collection, incoming, vector) for incoming, vector in pairs]

        async def attempt() -> None:
            await self._index.upsert(collection, documents, deadline.require())

        with stage("store"):
            await patiently(attempt, self._settings.upsert_patience_s, deadline)
        stored.documents += len(documents)
        stored.tokens += got.tokens
        stored.reused += got.reused
        DOCUMENTS.labels("reused").inc(got.reused)
        DOCUMENTS.labels("computed").inc(len(documents) - got.reused)


def check_fields(collection: Collection, documents: Sequence[Incoming]) -> None:
    """Raises InvalidArgument for the first document whose metadata does not fit the collection's fields."""
    for place, incoming in enumerate(documents):
        for name, kind in collection.fields.items():
            problem = _problem(kind, incoming.metadata.get(name))
            if problem:
                raise InvalidArgument(f"documents[{place}].metadata.{name}", problem)


def _problem(kind: FieldType, value: Json) -> str:
    if value is None:
        return ""
    if kind is FieldType.NUMBER:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return "" if fits else "is not a finite number, as the collection's field is"
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_TAGS:
        return f"{len(values)} tags are more than the limit of {MAX_TAGS}"
    fits = all(isinstance(one, str | bool) for one in values)
    return "" if fits else "is neither a string nor a list of strings, as the collection's tag field is"


def _indexed(collection: Collection, incoming: Incoming, vector: bytes) -> Indexed:
    tags: dict[str, list[str | bool]] = {}
    numbers: dict[str, float] = {}
    for name, kind in collection.fields.items():
        value = incoming.metadata.get(name)
        if kind is FieldType.NUMBER and isinstance(value, int | float):
            numbers[name] = float(value)
        elif kind is FieldType.TAG and value is not None:
            values = value if isinstance(value, list) else [value]
            tags[name] = [one for one in values if isinstance(one, str | bool)]
    return Indexed(incoming.document, vector, tags, numbers)
