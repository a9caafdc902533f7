"""What a client may get wrong: the canonical code, the field and the limit; and the next request works."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from siftline.embed.v1 import embed_pb2
from siftline.rerank.v1 import rerank_pb2
from siftline.search.v1 import search_pb2 as pb

LONG = "x" * (10 << 20)
INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


def upsert(*documents: pb.Document, collection: str = "c") -> pb.UpsertRequest:
    return pb.UpsertRequest(collection=collection, documents=documents)


def search(query: str = "q", collection: str = "c", **more: Any) -> pb.SearchRequest:
    return pb.SearchRequest(collection=collection, query=query, **more)


def metadata(**values: Any) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def described(values: struct_pb2.Struct) -> pb.Document:
    return pb.Document(id="a", text="b", metadata=values)


def create(name: str, *fields: tuple[str, int], **more: Any) -> pb.CreateCollectionRequest:
    return pb.CreateCollectionRequest(name=name, fields=[pb.Field(name=n, type=t) for n, t in fields], **more)  # type: ignore[arg-type]


def texts(values: list[str], **more: Any) -> embed_pb2.EmbedRequest:
    return embed_pb2.EmbedRequest(texts=values, **more)


FIRST = "documents[0]"
KINDLESS = struct_pb2.Struct(fields={"x": struct_pb2.Value()})
DOCUMENT = pb.Document(id="a", text="b")

CASES: list[tuple[str, Any, grpc.StatusCode, str, str]] = [
    ("Embed", texts([]), INVALID, "texts", "256"),
    ("Embed", texts(["a", ""]), INVALID, "texts[1]", "1048576"),
    ("Embed", texts([LONG]), INVALID, "texts[0]", "1048576"),
    ("Embed", texts(["a"] * 100_000), INVALID, "texts", "256"),
    ("Embed", texts(["a"], dimensions=33), INVALID, "dimensions", "32"),
    ("Embed", texts(["a"], dtype=99), INVALID, "dtype", "4"),
    ("Embed", texts(["a"], side=99), INVALID, "side", "2"),
    ("Embed", texts(["a"], truncation=99), INVALID, "truncation", "one of its values"),
    ("Embed", texts(["a"], priority=99), INVALID, "priority", "2"),
    ("Embed", texts(["a"], prompt_name="nope"), INVALID, "prompt_name", "query"),
    ("Embed", texts(["a"], prompt_text="p" * 5000), INVALID, "prompt_text", "4096"),
    ("Embed", texts(["a"], prompt_texts=["p", "q"]), INVALID, "prompt_texts", "1 texts"),
    ("Embed", texts(["a"], prompt_texts=["p" * 5000]), INVALID, "prompt_texts[0]", "4096"),
    ("Embed", texts(["a"], prompt_texts=["p"], prompt_text="q"), INVALID, "prompt_texts", "prompt_text"),
    ("Embed", texts(["a"], model="nope"), MISSING, "", "nope"),
    ("CreateCollection", create(""), INVALID, "name", "[a-z0-9]"),
    ("CreateCollection", create("A"), INVALID, "name", "[a-z0-9]"),
    ("CreateCollection", create("x" * 64), INVALID, "name", "{0,62}"),
    ("CreateCollection", create("a\n"), INVALID, "name", "[a-z0-9]"),
    ("CreateCollection", create("n", ("a b", 1)), INVALID, "fields[0].name", "A-Za-z"),
    ("CreateCollection", create("n", ("a", 1), ("a", 2)), INVALID, "fields[1].name", "twice"),
    ("CreateCollection", create("n", ("and", 1)), INVALID, "fields[0].name", "filter language"),
    ("CreateCollection", create("n", ("a", 0)), INVALID, "fields[0].type", "TAG"),
    ("CreateCollection", create("n", *((f"f{n}", 1) for n in range(65))), INVALID, "fields", "64"),
    ("CreateCollection", create("n", recall_weight=-1), INVALID, "recall_weight", "1000"),
    ("CreateCollection", create("n", recall_weight=float("nan")), INVALID, "recall_weight", "1000"),
    ("CreateCollection", create("c"), grpc.StatusCode.ALREADY_EXISTS, "", "'c'"),
    ("CreateCollection", create("n", fingerprint="0" * 32), grpc.StatusCode.FAILED_PRECONDITION, "", "f" * 32),
    ("GetCollection", pb.GetCollectionRequest(name="nope"), MISSING, "", "nope"),
    ("DropCollection", pb.DropCollectionRequest(name="nope"), MISSING, "", "nope"),
    ("DropCollection", pb.DropCollectionRequest(name="*"), INVALID, "name", "[a-z0-9]"),
    ("Upsert", upsert(DOCUMENT, collection="nope"), MISSING, "", "nope"),
    ("Upsert", upsert(), INVALID, "documents", "10000"),
    ("Upsert", upsert(*[DOCUMENT] * 10_001), INVALID, "documents", "10000"),
    ("Upsert", upsert(pb.Document(text="b")), INVALID, "documents[0].id", "512"),
    ("Upsert", upsert(pb.Document(id="i" * 513, text="b")), INVALID, "documents[0].id", "512"),
    ("Upsert", upsert(pb.Document(id="é" * 257, text="b")), INVALID, "documents[0].id", "512"),
    ("Upsert", upsert(DOCUMENT, pb.Document(id="b", text="b"), DOCUMENT), INVALID, "documents[2].id", "documents[0]"),
    ("Upsert", upsert(pb.Document(id="a")), INVALID, "documents[0].text", "1048576"),
    ("Upsert", upsert(pb.Document(id="a", text=LONG)), INVALID, "documents[0].text", "1048576"),
    ("Upsert", upsert(pb.Document(id="a", text="b", title="t" * 5000)), INVALID, "documents[0].title", "4096"),
    ("Upsert", upsert(described(metadata(x="y" * 70_000))), INVALID, "documents[0].metadata", "65536"),
    ("Upsert", upsert(described(metadata(x=float("nan")))), INVALID, "documents[0].metadata", "finite"),
    ("Upsert", upsert(described(KINDLESS)), INVALID, "documents[0].metadata", "kind"),
    ("Upsert", upsert(described(metadata(year="2020"))), INVALID, f"{FIRST}.metadata.year", "number"),
    ("Upsert", upsert(described(metadata(year=True))), INVALID, f"{FIRST}.metadata.year", "number"),
    ("Upsert", upsert(described(metadata(kind=5))), INVALID, f"{FIRST}.metadata.kind", "string"),
    ("Upsert", upsert(described(metadata(kind=["a", 5]))), INVALID, f"{FIRST}.metadata.kind", "string"),
    ("Upsert", upsert(described(metadata(kind=["t"] * 257))), INVALID, f"{FIRST}.metadata.kind", "256"),
    ("Upsert", pb.UpsertRequest(collection="c", documents=[DOCUMENT], durability=9), INVALID, "durability", "2"),
    ("Get", pb.GetRequest(collection="c"), INVALID, "ids", "10000"),
    ("Get", pb.GetRequest(collection="c", ids=[""]), INVALID, "ids[0]", "512"),
    ("Delete", pb.DeleteRequest(collection="c", ids=["a", "i" * 600]), INVALID, "ids[1]", "512"),
    ("Count", pb.CountRequest(collection="c", filter="x = 1"), INVALID, "filter", "position 1"),
    ("Count", pb.CountRequest(collection="c", filter="(" * 9000), INVALID, "filter", "8192"),
    ("Search", search(collection="nope"), MISSING, "", "nope"),
    ("Search", search(collection="No"), INVALID, "collection", "[a-z0-9]"),
    ("Search", search(""), INVALID, "query", "65536"),
    ("Search", search(LONG), INVALID, "query", "65536"),
    ("Search", search(top_k=1001), INVALID, "top_k", "1000"),
    ("Search", search(top_k=2**32 - 1), INVALID, "top_k", "1000"),
    ("Search", search(recall_depth=1001), INVALID, "recall_depth", "1000"),
    ("Search", search(filter="year = "), INVALID, "filter", "position 7"),
    ("Search", search(filter="year = 'x'"), INVALID, "filter", "position 8"),
    ("Search", search(rerank=99), INVALID, "rerank", "2"),
    ("Search", search(recall=99), INVALID, "recall", "3"),
    ("Search", search(min_score=float("nan")), INVALID, "min_score", "not a number"),
    ("Search", search(recall_weight=1e9), INVALID, "recall_weight", "1000"),
]  # fmt: skip


@pytest.fixture
async def call(gateway: Any) -> Callable[[str, Any], Any]:
    fields = [("kind", 1), ("year", 2)]
    await gateway.searches.CreateCollection(create("c", *fields))
    await gateway.searches.Upsert(upsert(DOCUMENT))

    def make(method: str, request: Any) -> Any:
        stub = gateway.embeds if method == "Embed" else gateway.searches
        return getattr(stub, method)(request, timeout=20)

    return make


@pytest.mark.parametrize(("method", "request_", "code", "field", "told"), CASES, ids=lambda value: str(value)[:40])
async def test_refused(call: Any, method: str, request_: Any, code: grpc.StatusCode, field: str, told: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(method, request_)
    error = caught.value
    assert error.code() == code, error.details()
    assert told in error.details()
    assert len(error.details()) < 1000
    status = rpc_status.from_call(error)
    reason, violations = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(reason)
    assert reason.domain == "siftline"
    if code == INVALID:
        assert error.details().startswith(f"{field}: ")
        assert status.details[1].Unpack(violations)
        assert violations.field_violations[0].field == field
    reply = await call("Search", search())
    assert [hit.id for hit in reply.hits] == ["a"]


async def test_collection_of_another_model(gateway: Any, call: Any) -> None:
    """Both fingerprints are named, whether documents come in or are searched, and also when the query is cached."""
    await call("Search", search("cached"))
    gateway.embed.fingerprint, gateway.embed.seed = "9" * 32, "other"
    await asyncio.sleep(0.3)  # longer than model_refresh_s: a model that nobody asked for a vector is noticed too
    changed = pb.Document(id="a", text="other text")
    for method, request in (("Upsert", upsert(changed)), ("Search", search("new")), ("Search", search("cached"))):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(method, request)
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "f" * 32 in caught.value.details()
        assert "9" * 32 in caught.value.details()
    words = await call("Search", search("b", recall=pb.RECALL_MODE_BM25, rerank=pb.RERANK_MODE_OFF))
    assert [hit.id for hit in words.hits] == ["a"]


async def test_stream_without_messages(gateway: Any) -> None:
    async def nothing() -> Any:
        for request in ():
            yield request

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.UpsertStream(nothing())
    assert caught.value.code() == INVALID


async def test_stream_that_changes_its_collection(gateway: Any, call: Any) -> None:
    async def batches() -> Any:
        yield pb.UpsertStreamRequest(collection="c", documents=[pb.Document(id="1", text="one")])
        yield pb.UpsertStreamRequest(collection="d", documents=[pb.Document(id="2", text="two")])

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.UpsertStream(batches())
    assert caught.value.code() == INVALID
    assert caught.value.details().startswith("collection: ")


async def test_deadline_that_has_passed(gateway: Any, call: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Search(search(), timeout=1e-6)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_rerank_is_handed_through(gateway: Any) -> None:
    reply = await gateway.reranks.Rerank(rerank_pb2.RerankRequest(query="a b", passages=["c", "a b"]))
    assert [result.index for result in reply.results] == [1, 0]
    model = await gateway.reranks.GetModel(rerank_pb2.GetModelRequest())
    assert model.fingerprint == gateway.rerank.fingerprint
    assert (await gateway.embeds.GetModel(embed_pb2.GetModelRequest())).name == "fake"


async def test_nul_and_odd_characters_are_text(call: Any) -> None:
    odd = "nul \0 bom \ufeff \U0001f600 \u202e rtl \x1b[31m"
    await call("Upsert", upsert(pb.Document(id=odd, text=odd, title=odd, metadata=metadata(kind=odd))))
    reply = await call("Get", pb.GetRequest(collection="c", ids=[odd]))
    assert reply.documents[0].text == odd
    assert reply.documents[0].metadata["kind"] == odd
    assert odd in [hit.id for hit in (await call("Search", search(odd))).hits]
