"""Long documents as chunks: overlapping windows of the embedding model's tokens, each a document that names its parent.

A search with `collapse="parent"` gives each parent once, by its best chunk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from siftline.client import AsyncClient
from siftline.results import Document

PARENT = "parent"  # metadata of a chunk: its document's id,
PLACE, COUNT = "chunk", "chunks"  # its place among that document's chunks, from 0, and how many there are


@dataclass(frozen=True)
class Chunking:
    """Tokens of a chunk, and how many of them the next one begins with. Raises ValueError."""

    tokens: int = 256
    overlap: int = 32

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.tokens:
            raise ValueError(f"overlap: {self.overlap} is not 0 to {self.tokens - 1}")


async def chunked(client: AsyncClient, documents: Sequence[Document], size: Chunking) -> list[Document]:
    """The chunks of the documents, in order. Ids are ID#0, ID#1, ...; each has its document's title and metadata."""
    places = await client.token_places([document.text for document in documents])
    return [
        chunk
        for document, tokens in zip(documents, places, strict=True)
        for chunk in _chunks(document, list(_windows(document.text, tokens, size)))
    ]


def superfluous(chunks: Sequence[Document], held: Sequence[Document]) -> list[str]:
    """Ids of chunks that documents had when they were longer; `held` is what the collection has of `chunks`."""
    wanted = {chunk.metadata[PARENT]: chunk.metadata[COUNT] for chunk in chunks}
    had = {one.metadata.get(PARENT): int(one.metadata.get(COUNT, 0)) for one in held}
    return [f"{parent}#{n}" for parent, count in wanted.items() for n in range(count, had.get(parent, 0))]


def _chunks(document: Document, texts: Sequence[str]) -> Iterator[Document]:
    for place, text in enumerate(texts):
        known = {PARENT: document.id, PLACE: place, COUNT: len(texts)}
        yield replace(document, id=f"{document.id}#{place}", text=text, metadata={**document.metadata, **known})


def _windows(text: str, tokens: Sequence[tuple[int, int]], size: Chunking) -> Iterator[str]:
    """Pieces of the text that together hold all of it."""
    step, first = size.tokens - size.overlap, 0
    while first + size.tokens < len(tokens):
        begin = tokens[first][0] if first else 0
        yield text[begin : tokens[first + size.tokens - 1][1]]
        first += step
    yield text[tokens[first][0] if first else 0 :]
