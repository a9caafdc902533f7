"""Times and places, languages, both lists explained, reranking that stops early, texts read once."""

from typing import Any

import grpc
import pytest
from google.protobuf import json_format, struct_pb2

from serving.errors import Overloaded
from siftline.search.v1 import search_pb2 as pb

FIELDS = {"at": pb.FIELD_TYPE_TIME, "of": pb.FIELD_TYPE_GEO}
PLACES = {
    "berlin": ("2024-05-01", {"lat": 52.52, "lon": 13.405}),
    "potsdam": ("2024-05-01T12:00:00+02:00", {"lat": 52.39, "lon": 13.06}),
    "sydney": ("2025-01-01T00:00:00Z", {"lat": -33.87, "lon": 151.21}),
    "nowhere": (None, None),
}


def document(name: str, text: str, **metadata: Any) -> pb.Document:
    return pb.Document(id=name, text=text, metadata=json_format.ParseDict(metadata, struct_pb2.Struct()))


async def create(gateway: Any, documents: list[pb.Document], **more: Any) -> None:
    fields = [pb.Field(name=name, type=kind) for name, kind in FIELDS.items()]
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c", fields=fields, **more))
    await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=documents))


async def search(gateway: Any, query: str, **more: Any) -> pb.SearchResponse:
    reply: pb.SearchResponse = await gateway.searches.Search(pb.SearchRequest(collection="c", query=query, **more))
    return reply


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('at >= "2024-05-01T10:00:00Z"', "potsdam sydney"),
        ('at < "2024-05-01T12:00:00+02:00"', "berlin"),
        ('at = "2024-05-01T00:00:00"', "berlin"),
        ('at IN ("2024-05-01", "2025-01-01")', "berlin sydney"),
        ('at != "2024-05-01"', "nowhere potsdam sydney"),
        ("of WITHIN 10 km OF (52.5, 13.4)", "berlin"),
        ("of within 30 mi of (52.5, 13.4)", "berlin potsdam"),
        ("NOT of WITHIN 20000 m OF (52.5, 13.4)", "nowhere sydney potsdam"),
        ('of WITHIN 100000 ft OF (-33.87, 151.2) AND at > "2024-12-31"', "sydney"),
    ],
)
async def test_times_and_places(gateway: Any, text: str, expected: str) -> None:
    facts = {name: {"at": at, "of": of} for name, (at, of) in PLACES.items()}
    await create(gateway, [document(name, f"the town {name}", **known) for name, known in facts.items()])
    for mode in (pb.RECALL_MODE_VECTOR, pb.RECALL_MODE_HYBRID):
        reply = await search(gateway, "town", filter=text, recall=mode)
        assert sorted(hit.id for hit in reply.hits) == sorted(expected.split())
    assert json_format.MessageToDict(reply.hits[0].metadata)["at"] == PLACES[reply.hits[0].id][0]


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"at": "yesterday"}, "is not a time as 2024-05-01"),
        ({"at": 5}, "not a string with a time"),
        ({"at": "9" * 1000}, "is not a time"),
        ({"of": {"lat": 95, "lon": 0}}, "-85.05 to 85.05"),
        ({"of": [52.5, 13.4]}, '{"lat": degrees, "lon": degrees}'),
        ({"of": {"lat": "52", "lon": 1}}, '{"lat": degrees'),
    ],
)
async def test_what_is_no_time_or_place(gateway: Any, metadata: dict[str, Any], says: str) -> None:
    fields = [pb.Field(name=name, type=kind) for name, kind in FIELDS.items()]
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="c", fields=fields))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.Upsert(pb.UpsertRequest(collection="c", documents=[document("a", "x", **metadata)]))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith(f"documents[0].metadata.{next(iter(metadata))}: ")
    assert says in caught.value.details()


async def test_a_language_stems_its_own_words(gateway: Any) -> None:
    documents = [document("a", "Die Häuser der Städte"), document("b", "the house of the city")]
    await create(gateway, documents, language="german")
    for query, expected in (("Haus", ["a"]), ("the", ["b"]), ("Stadt", ["a"])):
        reply = await search(gateway, query, recall=pb.RECALL_MODE_BM25, rerank=pb.RERANK_MODE_OFF)
        assert [hit.id for hit in reply.hits] == expected, query
    known = (await gateway.searches.GetCollection(pb.GetCollectionRequest(name="c"))).collection
    assert known.language == "german"
    await gateway.searches.Reindex(pb.ReindexRequest(name="c"))
    reply = await search(gateway, "Haus", recall=pb.RECALL_MODE_BM25)
    assert [hit.id for hit in reply.hits] == ["a"]
    await gateway.searches.DropCollection(pb.DropCollectionRequest(name="c"))
    await create(gateway, documents)
    assert not (await search(gateway, "Haus", recall=pb.RECALL_MODE_BM25)).hits
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="d", language="klingon"))
    assert "language: 'klingon' is none of arabic" in caught.value.details()


async def test_explain_shows_both_lists(gateway: Any) -> None:
    await create(gateway, [document(f"d{n}", f"word{n} and word{n + 1}") for n in range(20)])
    reply = await search(gateway, "word3 word4", recall=pb.RECALL_MODE_HYBRID, recall_depth=5, top_k=2, explain=True)
    nearest, matching = reply.explanation.nearest, reply.explanation.matching
    assert [one.id for one in matching] == ["d3", "d2", "d4"]
    assert len(nearest) == 5
    assert nearest[0].id == "d3"
    assert [one.score for one in nearest] == sorted((one.score for one in nearest), reverse=True)
    assert reply.hits[0].text == "word3 and word4"
    assert not (await search(gateway, "word3")).HasField("explanation")
    by_words = await search(gateway, "word3", recall=pb.RECALL_MODE_BM25, explain=True)
    assert not by_words.explanation.nearest


async def test_hybrid_reads_each_text_once(gateway: Any, redis_server: Any) -> None:
    text = " ".join(f"word{n}" for n in range(2000))
    await create(gateway, [document(f"d{n}", text) for n in range(10)])
    sent = {}
    for mode in (pb.RECALL_MODE_VECTOR, pb.RECALL_MODE_HYBRID):
        with redis_server.client as client:
            before = client.info("stats")["total_net_output_bytes"]
            await search(gateway, "word3", recall=mode, top_k=1)
            sent[mode] = client.info("stats")["total_net_output_bytes"] - before
    assert sent[pb.RECALL_MODE_VECTOR] > 10 * len(text)
    assert sent[pb.RECALL_MODE_HYBRID] < 1.3 * sent[pb.RECALL_MODE_VECTOR]


async def test_adaptive_reranking_stops_when_nothing_changes(gateway: Any) -> None:
    near = [document(f"n{n}", "red cars drive") for n in range(30)]
    await create(gateway, [*near, *(document(f"f{n}", f"other things {n}") for n in range(170))])
    whole = await search(gateway, "red cars drive", top_k=5, recall_depth=200)
    adaptive = await search(gateway, "red cars drive", top_k=5, recall_depth=200, adaptive=True)
    assert [hit.id for hit in adaptive.hits] == [hit.id for hit in whole.hits]
    assert (whole.reranked, adaptive.reranked) == (200, 32)
    assert gateway.rerank.calls[-2:] == [16, 16]


async def test_adaptive_reranking_goes_on_while_something_changes(gateway: Any) -> None:
    """Recall has the best last: its words are there, among many others."""
    noise = " ".join(f"noise{n}" for n in range(40))
    documents = [document(f"n{n:02}", "cars " * (n + 1)) for n in range(16)]
    await create(gateway, [*documents, document("best", f"red cars drive {noise}")])
    reply = await search(gateway, "red cars drive", top_k=1, recall_depth=17, adaptive=True)
    assert reply.reranked == 17
    assert reply.hits[0].id == "best"
    gateway.rerank.faults.spared, gateway.rerank.faults.error = 1, Overloaded("full", retry_after=1)
    reply = await search(gateway, "red cars drive", top_k=1, recall_depth=17, adaptive=True)
    assert list(reply.degraded) == [pb.DEGRADED_RERANK_OVERLOADED]
    assert reply.reranked == 16
    assert reply.hits[0].HasField("rerank_logit")


async def test_the_weight_of_words_in_a_hybrid_search(gateway: Any) -> None:
    """One document is near the query, the other has its rarest word."""
    await create(
        gateway, [document("near", "red cars"), document("word", "rare " + " ".join(f"w{n}" for n in range(40)))]
    )
    off = {"recall": pb.RECALL_MODE_HYBRID, "rerank": pb.RERANK_MODE_OFF}
    query = "red cars rare"
    by_words = await search(gateway, query, recall=pb.RECALL_MODE_BM25, rerank=pb.RERANK_MODE_OFF)
    by_vector = await search(gateway, query, rerank=pb.RERANK_MODE_OFF)
    for weight, like in ((1.0, by_words), (0.0, by_vector)):
        reply = await search(gateway, query, words_weight=weight, **off)
        assert [hit.id for hit in reply.hits][: len(like.hits)] == [hit.id for hit in like.hits]
    with pytest.raises(grpc.aio.AioRpcError, match="words_weight: 1.5 is not between 0 and 1"):
        await search(gateway, query, words_weight=1.5)
