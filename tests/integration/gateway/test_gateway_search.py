"""The two stages through the wire."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, struct_pb2

from serving.errors import Overloaded
from siftline.search.v1 import search_pb2 as pb
from tests.fakes.services import vector_of
from tests.running.waiting import until

TEXTS = {
    "a": ("Apples", "red apples grow on trees", {"kind": "fruit", "year": 2001}),
    "b": ("", "a banana is a yellow fruit that grows on plants", {"kind": ["fruit", "yellow"], "year": 2010}),
    "c": ("Cars", "red cars drive on roads", {"kind": "vehicle", "year": 2020}),
    "d": ("", "yellow taxis are cars that drive people", {"kind": ["vehicle", "yellow"]}),
}


def documents(texts: dict[str, Any] = TEXTS) -> list[pb.Document]:
    return [
        pb.Document(id=name, title=title, text=text, metadata=json_format.ParseDict(metadata, struct_pb2.Struct()))
        for name, (title, text, metadata) in texts.items()
    ]


@pytest.fixture
async def filled(gateway: Any) -> Any:
    fields = [
        pb.Field(name="kind", type=pb.FIELD_TYPE_TAG),
        pb.Field(name="year", type=pb.FIELD_TYPE_NUMBER),
    ]
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="things", fields=fields))
    reply = await gateway.searches.Upsert(pb.UpsertRequest(collection="things", documents=documents()))
    assert reply.upserted == 4
    assert reply.tokens > 4
    return gateway


def search(query: str, **more: Any) -> pb.SearchRequest:
    return pb.SearchRequest(collection="things", query=query, **more)


async def test_recall_then_rerank(filled: Any) -> None:
    reply = await filled.searches.Search(search("red cars on roads", top_k=2))
    best = reply.hits[0]
    assert best.id == "c"
    assert (best.title, best.text) == ("Cars", "red cars drive on roads")
    assert json_format.MessageToDict(best.metadata) == {"kind": "vehicle", "year": 2020.0}
    assert len(reply.hits) == 2
    assert reply.recalled == 4
    assert best.rerank_logit == 2.0
    assert best.score == 2.0
    assert best.rerank_score == pytest.approx(0.8808, abs=1e-4)
    assert best.recall_rank == best.vector_rank == 1
    expected = float(vector_of("red cars on roads") @ vector_of("Cars red cars drive on roads"))
    assert best.recall_score == pytest.approx(expected, abs=2e-3)
    assert not reply.degraded
    assert reply.embed_fingerprint == filled.embed.fingerprint
    assert reply.rerank_fingerprint == filled.rerank.fingerprint
    timings = reply.timings
    assert timings.total_us >= timings.embed_us + timings.recall_us + timings.rerank_us > 0
    assert not timings.embedding_cached


async def test_second_query_comes_from_the_cache(filled: Any) -> None:
    first = await filled.searches.Search(search("red cars"))
    calls = len(filled.embed.calls)
    second = await filled.searches.Search(search("red cars"))
    assert len(filled.embed.calls) == calls
    assert second.timings.embedding_cached
    assert [hit.recall_score for hit in first.hits] == [hit.recall_score for hit in second.hits]


async def test_rerank_off_gives_recall_order(filled: Any) -> None:
    reply = await filled.searches.Search(search("yellow fruit", rerank=pb.RERANK_MODE_OFF))
    assert [hit.recall_rank for hit in reply.hits] == [1, 2, 3, 4]
    assert [hit.score for hit in reply.hits] == sorted((hit.recall_score for hit in reply.hits), reverse=True)
    assert not filled.rerank.calls
    assert not reply.hits[0].HasField("rerank_logit")
    assert not reply.rerank_fingerprint


async def test_recall_weight_joins_the_scores(filled: Any) -> None:
    reply = await filled.searches.Search(search("cars that drive", recall_weight=10.0))
    for hit in reply.hits:
        assert hit.score == pytest.approx(hit.rerank_logit + 10 * hit.recall_score, abs=1e-6)
    assert [hit.score for hit in reply.hits] == sorted((hit.score for hit in reply.hits), reverse=True)


@pytest.mark.parametrize("mode", [pb.RECALL_MODE_BM25, pb.RECALL_MODE_HYBRID])
async def test_recall_by_words(filled: Any, mode: Any) -> None:
    reply = await filled.searches.Search(search("taxis", recall=mode, rerank=pb.RERANK_MODE_OFF))
    assert reply.hits[0].id == "d"
    assert reply.hits[0].text_rank == 1
    if mode == pb.RECALL_MODE_BM25:
        assert len(reply.hits) == 1
        assert not reply.embed_fingerprint
    else:
        assert len(reply.hits) == 4
        assert reply.hits[0].vector_rank >= 1


async def test_words_of_scripts_without_spaces(filled: Any) -> None:
    texts = {
        "zh": "北京是中国的首都。",
        "ja": "東京は日本の首都です",
        "th": "กรุงเทพ",
    }
    more = [pb.Document(id=name, text=text) for name, text in texts.items()]
    await filled.searches.Upsert(pb.UpsertRequest(collection="things", documents=more))
    found = {}
    for query in (
        "中国首都",
        "日本",
        "กรุง",
        "上海",
        "red 北京",
    ):
        reply = await filled.searches.Search(search(query, recall=pb.RECALL_MODE_BM25, rerank=pb.RERANK_MODE_OFF))
        found[query] = [hit.id for hit in reply.hits]
    assert list(found.values())[:4] == [["zh", "ja"], ["ja"], ["th"], []]
    assert set(list(found.values())[4]) == {"zh", "a", "c"}


async def test_collapse(filled: Any) -> None:
    reply = await filled.searches.Search(search("red cars yellow fruit", collapse="kind"))
    assert len(reply.hits) == 4  # all kinds differ
    more = [
        *documents(),
        documents({"e": ("", "red cars", {"kind": "vehicle"})})[0],
        pb.Document(id="f", text="red cars"),
    ]
    await filled.searches.Upsert(pb.UpsertRequest(collection="things", documents=more))
    reply = await filled.searches.Search(search("red cars drive on roads", collapse="kind"))
    ids = [hit.id for hit in reply.hits]
    assert ids[0] == "c"
    assert "e" not in ids
    assert "f" in ids  # has no kind
    assert [hit.collapsed for hit in reply.hits if hit.id == "c"] == [1]


async def test_hybrid_knows_the_cosine_of_what_only_words_found(filled: Any) -> None:
    hybrid = await filled.searches.Search(search("red taxis", recall=pb.RECALL_MODE_HYBRID, recall_depth=1, top_k=1))
    vector = await filled.searches.Search(search("red taxis", rerank=pb.RERANK_MODE_OFF))
    cosines = {hit.id: hit.recall_score for hit in vector.hits}
    for hit in hybrid.hits:
        assert hit.recall_score == pytest.approx(cosines[hit.id], abs=2e-3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('kind = "fruit"', "ab"),
        ('kind != "fruit"', "cd"),
        ('kind IN ("vehicle", "yellow")', "bcd"),
        ("year >= 2010", "bc"),
        ("year > 2010", "c"),
        ("year < 2010 or year = 2020", "ac"),
        ('not (kind = "yellow") and year <= 2020', "ac"),
        ('kind = "Fruit"', ""),
        ('kind = "fruit|vehicle"', ""),
    ],
)
async def test_filters(filled: Any, text: str, expected: str) -> None:
    for mode in (pb.RECALL_MODE_VECTOR, pb.RECALL_MODE_HYBRID):
        reply = await filled.searches.Search(search("red yellow things", filter=text, recall=mode))
        assert sorted(hit.id for hit in reply.hits) == list(expected)
    count = await filled.searches.Count(pb.CountRequest(collection="things", filter=text))
    assert count.count == len(expected)


async def test_return_fields(filled: Any) -> None:
    reply = await filled.searches.Search(search("red cars", return_fields=["title", "year"], top_k=1))
    hit = reply.hits[0]
    assert (hit.title, hit.text, json_format.MessageToDict(hit.metadata)) == ("Cars", "", {"year": 2020.0})


async def test_min_score(filled: Any) -> None:
    reply = await filled.searches.Search(search("red cars on roads", min_score=0.5))
    assert reply.hits
    assert all(hit.rerank_score >= 0.5 for hit in reply.hits)
    assert len(reply.hits) < 4


async def test_upsert_replaces_whole_documents(filled: Any) -> None:
    await filled.searches.Upsert(
        pb.UpsertRequest(collection="things", documents=[pb.Document(id="c", text="blue boats sail")])
    )
    reply = await filled.searches.Get(pb.GetRequest(collection="things", ids=["c", "nobody", "a"]))
    assert [document.id for document in reply.documents] == ["c", "a"]
    assert reply.documents[0] == pb.Document(id="c", text="blue boats sail")
    assert reply.documents[1] == documents()[0]
    count = await filled.searches.Count(pb.CountRequest(collection="things", filter="year = 2020"))
    assert count.count == 0


async def test_delete(filled: Any) -> None:
    reply = await filled.searches.Delete(pb.DeleteRequest(collection="things", ids=["a", "a", "nobody"]))
    assert reply.deleted == 1
    assert (await filled.searches.Count(pb.CountRequest(collection="things"))).count == 3
    found = await filled.searches.Search(search("red apples"))
    assert "a" not in [hit.id for hit in found.hits]


async def test_stream_of_batches(filled: Any) -> None:
    async def batches() -> Any:
        for start in range(0, 500, 100):
            some = [pb.Document(id=f"n{n}", text=f"number {n}") for n in range(start, start + 100)]
            yield pb.UpsertStreamRequest(collection="things" if start == 0 else "", documents=some)

    reply = await filled.searches.UpsertStream(batches())
    assert reply.upserted == 500
    assert (await filled.searches.Count(pb.CountRequest(collection="things"))).count == 504
    assert max(map(len, filled.embed.calls)) <= 64


async def test_of_one_id_in_a_stream_the_later_document_stays(filled: Any) -> None:
    async def batches() -> Any:
        for n in range(20):
            yield pb.UpsertStreamRequest(collection="things", documents=[pb.Document(id="x", text=f"version {n}")])

    await filled.searches.UpsertStream(batches())
    reply = await filled.searches.Get(pb.GetRequest(collection="things", ids=["x"]))
    assert reply.documents[0].text == "version 19"


WRONG = [
    pb.Document(id="ok1", text="fine"),
    pb.Document(id="", text="no id"),
    pb.Document(id="empty"),
    *documents({"w": ("", "wrong year", {"year": "soon"})}),
    pb.Document(id="ok2", text="fine too"),
    pb.Document(id="ok1", text="twice"),
    *documents({"n": ("", "not a number", {"x": float("nan")})}),
]
PROBLEMS = [(1, "", "id"), (2, "empty", "text"), (5, "ok1", "id"), (6, "n", "metadata"), (3, "w", "metadata.year")]


async def test_wrong_documents_are_skipped_when_asked(filled: Any) -> None:
    request = pb.UpsertRequest(collection="things", documents=WRONG, skip_invalid=True)
    reply = await filled.searches.Upsert(request)
    assert (reply.upserted, reply.skipped) == (2, 5)
    assert [(one.index, one.id, one.field) for one in reply.errors] == PROBLEMS
    assert "1048576" in reply.errors[1].message
    got = await filled.searches.Get(pb.GetRequest(collection="things", ids=["ok1", "ok2", "w", "n", "empty"]))
    assert [(one.id, one.text) for one in got.documents] == [("ok1", "fine"), ("ok2", "fine too")]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await filled.searches.Upsert(pb.UpsertRequest(collection="things", documents=WRONG))
    assert caught.value.details().startswith("documents[1].id: ")


async def test_wrong_documents_of_a_stream_are_counted_through(filled: Any) -> None:
    async def batches() -> Any:
        for _ in range(3):
            yield pb.UpsertStreamRequest(collection="things", documents=WRONG, skip_invalid=True)

    reply = await filled.searches.UpsertStream(batches())
    assert (reply.upserted, reply.skipped) == (6, 15)
    places = [one.index for one in reply.errors]
    assert sorted(places) == [at + place for at in (0, 7, 14) for place in (1, 2, 3, 5, 6)]


async def test_a_document_that_is_there_already_is_not_embedded_again(filled: Any) -> None:
    calls = len(filled.embed.calls)
    changed = documents()
    changed[0].metadata["year"] = 1999
    changed[1].text = "something else"
    reply = await filled.searches.Upsert(pb.UpsertRequest(collection="things", documents=changed))
    assert (reply.upserted, reply.reused) == (4, 3)
    assert filled.embed.calls[calls:] == [["something else"]]
    count = await filled.searches.Count(pb.CountRequest(collection="things", filter="year = 1999"))
    assert count.count == 1
    found = await filled.searches.Search(search("apples red grow trees", rerank=pb.RERANK_MODE_OFF))
    assert found.hits[0].id == "a"


async def test_the_longest_title_and_text_there_may_be(filled: Any) -> None:
    longest = pb.Document(id="long", title="t" * 4096, text="é" * (1 << 19))
    assert (await filled.searches.Upsert(pb.UpsertRequest(collection="things", documents=[longest]))).upserted == 1
    got = await filled.searches.Get(pb.GetRequest(collection="things", ids=["long"]))
    assert got.documents[0] == longest
    assert (await filled.searches.Search(search("red apples"))).hits[0].id == "a"


async def test_an_upsert_waits_for_room_and_for_a_restart(filled: Any) -> None:
    filled.embed.faults.error = Overloaded("full", retry_after=0.1)
    upsert = pb.UpsertRequest(collection="things", documents=[pb.Document(id="late", text="late text")])
    before = len(filled.embed.calls)
    waiting = asyncio.ensure_future(filled.searches.Upsert(upsert))
    await until(lambda: len(filled.embed.calls) >= before + 2)  # refused, and asked again
    assert not waiting.done()
    await filled.embed_server.stop()
    filled.embed.faults.error = None
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await filled.embed_server.start()
    assert (await waiting).upserted == 1


async def test_an_upsert_does_not_wait_for_ever(gateways: Any, redis_server: Any) -> None:
    gateway = await gateways.start(redis_server.url, upsert_patience_s=0.3)
    await gateway.until_ready()
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="things"))
    gateway.embed.faults.error = Overloaded("full", retry_after=0.1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Upsert(pb.UpsertRequest(collection="things", documents=documents()))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_collections_are_listed_and_dropped(filled: Any) -> None:
    await filled.searches.CreateCollection(pb.CreateCollectionRequest(name="other", recall_weight=2.5))
    listed = await filled.searches.ListCollections(pb.ListCollectionsRequest())
    assert [(c.name, c.count) for c in listed.collections] == [("other", 0), ("things", 4)]
    assert listed.collections[0].recall_weight == 2.5
    one = (await filled.searches.GetCollection(pb.GetCollectionRequest(name="things"))).collection
    assert [(f.name, f.type) for f in one.fields] == [("kind", pb.FIELD_TYPE_TAG), ("year", pb.FIELD_TYPE_NUMBER)]
    assert (one.fingerprint, one.dimensions) == (filled.embed.fingerprint, 32)
    await filled.searches.DropCollection(pb.DropCollectionRequest(name="things"))
    await filled.searches.CreateCollection(pb.CreateCollectionRequest(name="things"))
    assert (await filled.searches.Count(pb.CountRequest(collection="things"))).count == 0


async def test_of_many_creations_and_drops_at_once_one_succeeds(gateway: Any) -> None:
    for _ in range(5):
        create = (gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c")) for _ in range(20))
        created = await asyncio.gather(*create, return_exceptions=True)
        failed = [one.code() for one in created if isinstance(one, grpc.aio.AioRpcError)]
        assert failed == [grpc.StatusCode.ALREADY_EXISTS] * 19
        drop = (gateway.searches.DropCollection(pb.DropCollectionRequest(name="c")) for _ in range(20))
        dropped = await asyncio.gather(*drop, return_exceptions=True)
        assert {one.code() for one in dropped if isinstance(one, grpc.aio.AioRpcError)} <= {grpc.StatusCode.NOT_FOUND}
        assert not (await gateway.searches.ListCollections(pb.ListCollectionsRequest())).collections
