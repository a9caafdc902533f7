"""What is stored of documents that were cut: found by the first chunk, which says how many there are."""

from collections.abc import Iterable, Mapping, Sequence, Set

from gateway.chunking import COUNT, DIGEST, PARENT, PLACE, digest
from gateway.deadline import Deadline
from gateway.metadata import Incoming, Json, read
from gateway.recall import Collection, Document, Recall
from siftline.chunking import Chunking

_MOST = 1 << 18  # chunks of a document: no text has more
_PAGE = 1000


class Chunks:
    """Of the documents of an index."""

    def __init__(self, index: Recall) -> None:
        self._index = index

    async def lacking(
        self,
        collection: Collection,
        documents: Sequence[Incoming],
        size: Chunking,
        under_way: Set[str],
        deadline: Deadline,
    ) -> list[Incoming]:
        """The documents of which some chunk is not stored as it would be now; and those with ids `under_way`."""
        wanted = {one.document.id: digest(one, size) for one in documents if one.document.id not in under_way}
        held = await self._held(collection, [_first(parent) for parent in wanted], deadline)
        rest = [
            f"{parent}#{place}"
            for parent in wanted
            for place in range(1, _count(held, parent))
            if held[_first(parent)].get(DIGEST) == wanted[parent]
        ]
        held |= await self._held(collection, rest, deadline)
        stored = {parent for parent in wanted if _count(held, parent)}
        for identity in [*map(_first, stored), *rest]:
            parent = identity.rpartition("#")[0]
            if held.get(identity, {}).get(DIGEST) != wanted[parent]:
                stored.discard(parent)
        return [one for one in documents if one.document.id not in stored]

    async def delete(self, collection: Collection, ids: Sequence[str], deadline: Deadline) -> int:
        """Documents, or all their chunks; how many were there."""
        held = await self._held(collection, [_first(parent) for parent in ids], deadline)
        return await self._delete(collection, [*ids, *_beyond(dict.fromkeys(ids, 0), held)], deadline)

    async def trim(self, collection: Collection, chunks: Sequence[Incoming], deadline: Deadline) -> None:
        """Removes what there is of the documents beyond these chunks, before the first one, which knows how many there
        were, is replaced."""
        firsts = [one.metadata for one in chunks if one.metadata[PLACE] == 0]
        kept = {str(first[PARENT]): int(str(first[COUNT])) for first in firsts}
        held = await self._held(collection, [*map(_first, kept), *kept], deadline)
        await self._delete(collection, [*_beyond(kept, held), *(parent for parent in kept if parent in held)], deadline)

    async def clear(
        self, collection: Collection, ids: Sequence[str], before: Iterable[Document], deadline: Deadline
    ) -> None:
        """Removes the chunks of documents that were stored whole, with `before` there of `firsts`."""
        held = {one.id: read(one.metadata) for one in before}
        gone = [chunk for chunk in _beyond(dict.fromkeys(ids, 0), held) if chunk not in ids]
        await self._delete(collection, gone, deadline)

    async def _held(
        self, collection: Collection, ids: Sequence[str], deadline: Deadline
    ) -> dict[str, Mapping[str, Json]]:
        """Metadata of those that there are."""
        found: dict[str, Mapping[str, Json]] = {}
        for at in range(0, len(ids), _PAGE):
            some = await self._index.get(collection, ids[at : at + _PAGE], deadline.require())
            found |= {one.id: read(one.metadata) for one in some}
        return found

    async def _delete(self, collection: Collection, ids: Sequence[str], deadline: Deadline) -> int:
        pages = [ids[at : at + _PAGE] for at in range(0, len(ids), _PAGE)]
        return sum([await self._index.delete(collection, page, deadline.require()) for page in pages])


def firsts(ids: Sequence[str]) -> list[str]:
    """Ids of the documents' first chunks."""
    return [_first(parent) for parent in ids]


def _first(parent: str) -> str:
    return f"{parent}#0"


def _count(held: Mapping[str, Mapping[str, Json]], parent: str) -> int:
    """Chunks of the document, as its first one says; 0 where what has that id is none."""
    metadata = held.get(_first(parent), {})
    count = metadata.get(COUNT)
    return min(int(count), _MOST) if isinstance(count, int | float) and metadata.get(PARENT) == parent else 0


def _beyond(kept: Mapping[str, int], held: Mapping[str, Mapping[str, Json]]) -> list[str]:
    """Ids of the chunks that documents have beyond so many first ones; the first, which knows how many, is the last."""
    places = ((parent, place) for parent in kept for place in range(kept[parent], _count(held, parent))[::-1])
    return [f"{parent}#{place}" for parent, place in places]
