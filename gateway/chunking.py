"""Long documents as chunks: overlapping windows of the model's tokens, each a document that names its parent."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from gateway.clients import EmbedClient
from gateway.deadline import Deadline
from gateway.intake import Intake
from gateway.metadata import Incoming, Json, fit, written
from gateway.patience import patiently
from gateway.recall import Collection
from gateway.validation import MAX_ID_BYTES
from serving.errors import InvalidArgument
from siftline.chunking import Chunking
from siftline.embed.v1 import embed_pb2

PARENT = "parent"  # metadata of a chunk: its document's id,
PLACE, COUNT = "chunk", "chunks"  # its place among that document's chunks, from 0, and how many there are,
DIGEST = "parent_digest"  # and what tells whether it was cut from the same document in the same way

_TOGETHER = 1 << 20  # characters of text whose tokens are asked for in one call: a reply is many times as long


class Chunker:
    """Ids of chunks are ID#0, ID#1, ...; each has its document's title and metadata."""

    def __init__(self, client: EmbedClient, patience_s: float) -> None:
        self._client = client
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
    parent: dict[str, Json] = {PARENT: document.id, COUNT: len(texts), DIGEST: digest(incoming, size)}
    for place, text in enumerate(texts):
        metadata = {**incoming.metadata, **parent, PLACE: place}
        chunk = replace(document, id=f"{document.id}#{place}", text=text, metadata=written(metadata))
        chunks.append(fit(collection, Incoming(chunk, metadata, incoming.place)))
    return chunks


def digest(incoming: Incoming, size: Chunking) -> str:
    """Of a document and of how it is cut."""
    document = incoming.document
    parts = [document.id, document.title, document.text, incoming.metadata, size.tokens, size.overlap]
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


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
