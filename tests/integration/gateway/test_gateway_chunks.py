"""Long documents in overlapping chunks, found by their best one."""

from typing import Any

import pytest

from siftline.chunking import Chunking
from siftline.client import AsyncClient
from siftline.indexing import index
from siftline.results import Document

SIZE = Chunking(tokens=20, overlap=5)


def long(first: int, last: int) -> str:
    return "Once: " + ", ".join(f"word{n}" for n in range(first, last)) + "."


async def test_chunks_hold_all_of_the_text_and_answer_for_their_parent(gateway: Any) -> None:
    documents = [Document("a", long(0, 100), "A", {"kind": "long"}), Document("b", long(50, 60)), Document("c", "!?")]
    async with AsyncClient(gateway.target) as client:
        done = await index(client, "c", documents, chunking=SIZE)
        assert (done.written, done.unchanged) == (3, 0)
        assert await client.count("c") == 7 + 1 + 1  # 101 tokens: 20, and 15 new ones in each of six others
        chunks = await client.get("c", [f"a#{n}" for n in range(7)])
        assert chunks[0].text.startswith("Once: word0,")
        assert chunks[6].text.endswith("word99.")
        for one, other in zip(chunks, chunks[1:], strict=False):
            assert one.text.split(", ")[-5:] == other.text.split(", ")[:5]
        assert chunks[3].title == "A"
        assert chunks[3].metadata == {"kind": "long", "parent": "a", "chunk": 3.0, "chunks": 7.0}
        found = await client.search("c", "word55 word56 word57", collapse="parent")
        assert [hit.metadata["parent"] for hit in found.hits] == ["b", "a", "c"]
        assert "word55" in found.hits[1].text
        assert found.hits[1].collapsed == 6
        again = await index(client, "c", documents, chunking=SIZE)
        assert (again.written, again.unchanged) == (0, 3)


async def test_a_document_that_got_shorter_leaves_no_chunks_behind(gateway: Any) -> None:
    async with AsyncClient(gateway.target) as client:
        await index(client, "c", [Document("a", long(0, 100)), Document("b", long(0, 100))], chunking=SIZE)
        await index(client, "c", [Document("a", long(0, 30))], chunking=SIZE)
        assert await client.count("c") == 2 + 7


def test_an_overlap_as_long_as_the_chunk() -> None:
    with pytest.raises(ValueError, match="overlap: 20 is not 0 to 19"):
        Chunking(20, 20)
