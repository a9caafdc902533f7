"""Brings a collection in step with a source of documents.

What the collection holds already, and holds unchanged, is left alone. So an interrupted run is continued by starting
it again, wherever it stopped, and nothing but the collection itself has to remember how far it came.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import grpc

from siftline.chunking import Chunking
from siftline.client import AsyncClient
from siftline.errors import SiftlineError
from siftline.results import Document, FieldType

Result = TypeVar("Result")

BATCH = 64
IN_FLIGHT = 4
BATCH_SECONDS = 120.0
# A server that is down or full this long will not come back for us.
PATIENCE_SECONDS = 300.0
_PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


@dataclass
class Progress:
    """Documents so far: written, found unchanged, and tokens computed for those written."""

    written: int = 0
    unchanged: int = 0
    tokens: int = 0

    @property
    def seen(self) -> int:
        return self.written + self.unchanged


async def index(
    client: AsyncClient,
    collection: str,
    documents: Iterable[Document],
    *,
    fields: Mapping[str, FieldType] | None = None,
    language: str = "english",
    chunking: Chunking | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Upserts those of the documents that the collection lacks or holds otherwise.

    With `chunking` they are sent all, as only the gateway knows the chunks; it leaves alone what is stored so already.

    A collection that does not exist is created, with `fields` to filter by, words stemmed by the rules of `language`.
    Raises SiftlineError for what the server refuses; all that was reported as written is durable.
    """
    await _ensure(client, collection, fields, language)
    progress, patient = Progress(), client.with_timeout(BATCH_SECONDS)
    room = asyncio.Semaphore(IN_FLIGHT)

    async def step(batch: list[Document]) -> None:
        try:
            await _step(patient, collection, batch, chunking, progress)
            report(progress)
        finally:
            room.release()

    try:
        async with asyncio.TaskGroup() as steps:
            for batch in _batches(documents):
                await room.acquire()
                steps.create_task(step(batch))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return progress


async def _ensure(client: AsyncClient, collection: str, fields: Mapping[str, FieldType] | None, language: str) -> None:
    try:
        await client.get_collection(collection)
    except SiftlineError as error:
        if error.code is not grpc.StatusCode.NOT_FOUND:
            raise
        await client.create_collection(collection, fields, language=language)


async def _step(
    client: AsyncClient, collection: str, batch: list[Document], chunking: Chunking | None, progress: Progress
) -> None:
    changed = batch if chunking else await _changed(client, collection, batch)
    written = len(changed)
    if changed:
        done = await _patiently(lambda: client.upsert(collection, changed, chunking=chunking))
        progress.tokens += done.tokens
        written -= done.unchanged
    progress.written += written
    progress.unchanged += len(batch) - written


async def _changed(client: AsyncClient, collection: str, batch: list[Document]) -> list[Document]:
    held = await _patiently(lambda: client.get(collection, [document.id for document in batch]))
    known = {document.id: document for document in held}
    return [document for document in batch if not _same(document, known.get(document.id))]


def _same(wanted: Document, held: Document | None) -> bool:
    if held is None:
        return False
    return (wanted.text, wanted.title, wanted.metadata) == (held.text, held.title, held.metadata)


async def _patiently(call: Callable[[], Awaitable[Result]]) -> Result:
    """Calls again while the server is restarting or full, as long as it says, or a second."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await call()
        except SiftlineError as error:
            if error.code not in _PASSING or time.monotonic() > deadline:
                raise
            await asyncio.sleep(error.retry_after or 1.0)


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    remaining = iter(documents)
    while batch := list(islice(remaining, BATCH)):
        yield batch
