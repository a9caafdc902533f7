"""Stop words in a query by words: the engine has died of them, and has answered a filter with documents at random."""

import itertools
from typing import Any

import pytest

from gateway.recall.words import STOP_WORDS
from siftline.search.v1 import search_pb2 as pb


@pytest.fixture
async def filled(gateway: Any) -> Any:
    fields = [pb.Field(name="year", type=pb.FIELD_TYPE_NUMBER)]
    await gateway.searches.CreateCollection(pb.CreateCollectionRequest(name="things", fields=fields))
    documents = [pb.Document(id=name, text=text) for name, text in (("a", "the x axis"), ("b", "if it is a car"))]
    for document in documents:
        document.metadata["year"] = 2000
    await gateway.searches.Upsert(pb.UpsertRequest(collection="things", documents=documents))
    return gateway


async def found(gateway: Any, query: str, mode: int, filter: str = "") -> list[str]:
    request = pb.SearchRequest(collection="things", query=query, recall=mode, rerank=pb.RERANK_MODE_OFF, filter=filter)
    return [hit.id for hit in (await gateway.searches.Search(request)).hits]


@pytest.mark.parametrize("filter", ["", "year > 1999", "year > 1999 OR year IN (3)", "NOT year IN (3)"])
async def test_the_index_outlives_any_stop_words(filled: Any, filter: str) -> None:
    for first, second in itertools.pairwise((*STOP_WORDS, STOP_WORDS[0])):
        assert await found(filled, f"{first} {second} axis {first}", pb.RECALL_MODE_BM25, filter) == ["a"]
        assert await found(filled, f"{first.upper()} {second}", pb.RECALL_MODE_BM25, filter) == []
    assert await found(filled, "If the x axis", pb.RECALL_MODE_BM25, filter) == ["a"]


async def test_a_hybrid_search_for_stop_words_has_the_nearest(filled: Any) -> None:
    assert sorted(await found(filled, "if the", pb.RECALL_MODE_HYBRID)) == ["a", "b"]


def test_the_list_is_that_of_the_engine(redis_server: Any) -> None:
    """So an index made before it was said holds the same words."""
    with redis_server.client as client:
        client.execute_command("FT.CREATE", "bare", "PREFIX", "1", "bare:", "SCHEMA", "text", "TEXT")
        client.execute_command("FT.CREATE", "full", "PREFIX", "1", "bare:", "STOPWORDS", "0", "SCHEMA", "text", "TEXT")
        client.hset("bare:1", "text", " ".join(STOP_WORDS))
        for word in STOP_WORDS:
            assert client.execute_command("FT.SEARCH", "bare", word, "NOCONTENT", "DIALECT", "2") == [0]
            assert client.execute_command("FT.SEARCH", "full", word, "NOCONTENT", "DIALECT", "2")[0] == 1
        client.execute_command("FT.DROPINDEX", "bare")
        client.execute_command("FT.DROPINDEX", "full")
