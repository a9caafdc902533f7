"""Long documents in overlapping chunks, found by their best one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import grpc
import pytest

from siftline.chunking import Chunking
from siftline.client import AsyncClient
from siftline.indexing import index
from siftline.results import Document, Upserted
from siftline.search.v1 import search_pb2 as pb

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
        assert len(chunks[3].metadata.pop("parent_digest")) == 32
        assert chunks[3].metadata == {"kind": "long", "parent": "a", "chunk": 3.0, "chunks": 7.0}
        found = await client.search("c", "word55 word56 word57", collapse="parent")
        assert [hit.metadata["parent"] for hit in found.hits] == ["b", "a", "c"]
        assert "word55" in found.hits[1].text
        assert found.hits[1].collapsed == 6


async def test_what_is_stored_as_the_same_chunks_is_left_alone(gateway: Any) -> None:
    documents = [Document("a", long(0, 100), "A", {"kind": "long", "n": 1}), Document("b", long(50, 60))]
    async with AsyncClient(gateway.target) as client:
        await index(client, "c", documents, chunking=SIZE)
        gateway.embed.calls.clear()
        again = await index(client, "c", documents, chunking=SIZE)
        assert (again.written, again.unchanged, again.tokens) == (0, 2, 0)
        await client.delete("c", ["a#6"])  # as after an interruption: chunks are stored in order
        await client.delete("c", ["a#3"])
        assert (await client.upsert("c", documents, chunking=SIZE)) == Upserted(7, ANY, 5, 1)
        for change in (
            {"documents": [replace(documents[1], metadata={"kind": "other"})]},
            {"documents": [replace(documents[1], title="B")]},
            {"chunking": Chunking(20, 6)},
        ):
            given: dict[str, Any] = {"documents": documents[1:], "chunking": SIZE} | change
            assert (await client.upsert("c", **given)).unchanged == 0
            assert (await client.upsert("c", **given)).unchanged == 1


async def test_the_id_of_a_document_stands_for_all_its_chunks(gateway: Any) -> None:
    """Also where it was stored whole before, and is again."""
    whole, other = Document("a", long(0, 100)), Document("b", long(0, 100))
    async with AsyncClient(gateway.target) as client:
        await index(client, "c", [whole])
        await index(client, "c", [whole, other], chunking=SIZE)
        assert await client.count("c") == 7 + 7
        assert await client.delete("c", ["a", "nowhere"]) == 7
        assert [one.id for one in await client.get("c", ["a", "a#0", "b#0"])] == ["b#0"]
        await client.upsert("c", [other])
        assert await client.count("c") == 1
        await index(client, "c", [other], chunking=SIZE)
        (first,) = await client.get("c", ["b#0"])
        await client.upsert("c", [first, other])  # what is asked to be stored is stored
        assert {one.id for one in await client.get("c", ["b", "b#0"])} == {"b", "b#0"}
        assert await client.count("c") == 2


async def test_a_document_that_got_shorter_leaves_no_chunks_behind(gateway: Any) -> None:
    async with AsyncClient(gateway.target) as client:
        await index(client, "c", [Document("a", long(0, 100)), Document("b", long(0, 100))], chunking=SIZE)
        await index(client, "c", [Document("a", long(0, 30))], chunking=SIZE)
        assert await client.count("c") == 2 + 7


@pytest.mark.parametrize(("before", "last"), [((2000, 40, 900), 0), ((2000, 40, 900), 1), ((900,), 300)])
async def test_a_stream_that_has_a_document_twice_leaves_the_chunks_of_its_end(
    gateway: Any, before: tuple[int, ...], last: int
) -> None:
    """Batches are embedded side by side; what counts is their order."""
    async with AsyncClient(gateway.target) as client:
        await index(client, "c", [Document("a", long(0, last))], chunking=SIZE)  # what its end must not be taken for

    async def messages() -> AsyncIterator[pb.UpsertStreamRequest]:
        size = pb.Chunking(tokens=SIZE.tokens, overlap=SIZE.overlap)
        for end in (*before, last):
            yield pb.UpsertStreamRequest(
                collection="c", documents=[pb.Document(id="a", text=long(0, end))], chunking=size
            )

    reply = await gateway.searches.UpsertStream(messages())
    count = await gateway.searches.Count(pb.CountRequest(collection="c"))
    assert count.count == 1 + max(0, -(-(last + 1 - 20) // 15)) < reply.upserted


async def test_what_is_wrong_with_chunks_is_told(gateway: Any) -> None:
    async with AsyncClient(gateway.target) as client:
        await client.create_collection("c", {"parent": "number"})
    right = pb.Document(id="a", text=long(0, 100))
    for document, said in (
        (pb.Document(id="i" * 511, text="short"), r"documents\[0\].id: with the number of a chunk"),
        (right, r"documents\[0\].metadata.parent: is not a finite number"),
    ):
        request = pb.UpsertRequest(collection="c", documents=[document], chunking=pb.Chunking(tokens=20))
        with pytest.raises(grpc.aio.AioRpcError, match=said) as caught:
            await gateway.searches.Upsert(request)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        request.skip_invalid = True
        assert (await gateway.searches.Upsert(request)).skipped == 1
    for size, said in ((pb.Chunking(), "chunking.tokens: 0 is not 8"), (pb.Chunking(tokens=20, overlap=11), "overlap")):
        with pytest.raises(grpc.aio.AioRpcError, match=said):
            await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=[right], chunking=size))


async def test_a_document_of_someone_elses_making_is_no_chunk(gateway: Any) -> None:
    """What looks like the first of a great many chunks costs nobody more than its own removal."""
    async with AsyncClient(gateway.target) as client:
        await client.create_collection("c")
        await client.upsert(
            "c", [Document("a#0", "x", "", {"chunks": 1e18}), Document("b#0", "x", "", {"chunks": "9"})]
        )
        await client.upsert("c", [Document("a", "short"), Document("b", "short")], chunking=SIZE)
        assert await client.count("c") == 2


def test_an_overlap_as_long_as_half_of_the_chunk() -> None:
    with pytest.raises(ValueError, match="overlap: 11 is not 0 to 10"):
        Chunking(20, 11)
