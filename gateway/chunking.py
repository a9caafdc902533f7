"""Long documents as chunks: overlapping windows of the model's tokens, each a document that names its parent."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from gateway.clients import EmbedClient
from gateway.deadline import Deadline
from gateway.intake import Intake
from gateway.metadata import Incoming, Json, fit, read, written
from gateway.patience import patiently
from gateway.recall import Collection, Recall
from gateway.validation import MAX_ID_BYTES
from serving.errors import InvalidArgument
from siftline.chunking import Chunking
from siftline.embed.v1 import embed_pb2

PARENT = "parent"  # metadata of a chunk: its document's id,
PLACE, COUNT = "chunk", "chunks"  # its place among that document's chunks, from 0, and how many there are

_TOGETHER = 1 << 20  # characters of text whose tokens are asked for in one call: a reply is many times as long
_MOST = 1 << 18  # chunks of a document: no text has more
_PAGE = 1000


class Chunker:
    """Ids of chunks are ID#0, ID#1, ...; each has its document's title and metadata."""

    def __init__(self, client: EmbedClient, index: Recall, patience_s: float) -> None:
        self._client = client
        self._index = index
        self._patience_s = patience_s

    async def cut(
        self, collection: Collection, documents: Sequence[Incoming], size: Chunking, deadline: Deadline, intake: Intake
    ) -> list[Incoming]:
        """The chunks of the documents that `intake` takes, in order. Raises as the embed service does."""
        limit, chunks = (await self._client.model(deadline)).limits.max_texts, list[Incoming]()
        for some in _together(documents, limit):
            request = embed_pb2.TokenizeRequest(texts=[one.document.text for one in some])
            reply = await patiently(partial(self._client.tokenize, request, deadline), self._patience_s, deadline)
            for one, found in zip(some, reply.texts, strict=True):
                tokens = list(zip(found.starts, found.ends, strict=True))
                look = partial(_chunks, collection, one, tokens, size)
                chunks += intake.take(one.place, one.document.id, look) or []
        return chunks

    async def trim(self, collection: Collection, chunks: Sequence[Incoming], deadline: Deadline) -> None:
        """Removes what documents have beyond these chunks, from when they were longer."""
        counts = {one.document.id: _count(one.metadata) for one in chunks if one.metadata[PLACE] == 0}
        held = await self._index.get(collection, list(counts), deadline.require()) if counts else []
        superfluous = [
            f"{one.id.removesuffix('#0')}#{place}"
            for one in held
            for place in range(counts[one.id], _count(read(one.metadata)))
        ]
        for at in range(0, len(superfluous), _PAGE):
            await self._index.delete(collection, superfluous[at : at + _PAGE], deadline.require())


def windows(text: str, tokens: Sequence[tuple[int, int]], size: Chunking) -> Iterator[str]:
    """Pieces of the text that together hold all of it; where each token begins and ends is in characters."""
    step, first = size.tokens - size.overlap, 0
    while first + size.tokens < len(tokens):
        begin = tokens[first][0] if first else 0
        yield text[begin : tokens[first + size.tokens - 1][1]]
        first += step
    yield text[tokens[first][0] if first else 0 :]


def _chunks(
    collection: Collection, incoming: Incoming, tokens: Sequence[tuple[int, int]], size: Chunking
) -> list[Incoming]:
    document, texts = incoming.document, list(windows(incoming.document.text, tokens, size))
    if len(f"{document.id}#{len(texts) - 1}".encode()) > MAX_ID_BYTES:
        raise InvalidArgument("id", f"with the number of a chunk it is longer than the limit of {MAX_ID_BYTES} bytes")
    chunks = []
    for place, text in enumerate(texts):
        metadata = {**incoming.metadata, PARENT: document.id, PLACE: place, COUNT: len(texts)}
        chunk = replace(document, id=f"{document.id}#{place}", text=text, metadata=written(metadata))
        chunks.append(fit(collection, Incoming(chunk, metadata, incoming.place)))
    return chunks


def _count(metadata: Mapping[str, Json]) -> int:
    """Of a chunk's metadata; 0 for what is none."""
    count = metadata.get(COUNT)
    return min(int(count), _MOST) if isinstance(count, int | float) and PARENT in metadata else 0


def _together(documents: Sequence[Incoming], limit: int) -> Iterator[list[Incoming]]:
    some: list[Incoming] = []
    size = 0
    for one in documents:
        length = len(one.document.text)
        if some and (len(some) == limit or size + length > _TOGETHER):
            yield some
            some, size = [], 0
        some.append(one)
        size += length
    if some:
        yield some
