"""siftline.haystack under Haystack itself, against the running stack."""

import pytest
from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import Secret

from siftline.haystack import SiftlineDocumentEmbedder, SiftlineRanker, SiftlineRetriever, SiftlineTextEmbedder
from tests.integration.frameworks.conftest import NOTES, QUESTION, Notes

ENGLISH = {"field": "meta.lang", "operator": "==", "value": "en"}
RECENT = {"field": "meta.year", "operator": ">=", "value": 2025}


def _documents() -> list[Document]:
    return [Document(id=note.id, content=note.text, meta={"title": note.title}) for note in NOTES]


async def test_embedders_are_the_client_s(notes: Notes) -> None:
    text, documents = SiftlineTextEmbedder(notes.address), SiftlineDocumentEmbedder(notes.address)
    question = notes.client.embed([QUESTION], side="query")[0].tolist()
    assert text.run(QUESTION) == await text.run_async(QUESTION) == {"embedding": question}
    expected = notes.client.embed([note.text for note in NOTES]).tolist()
    originals = _documents()
    assert [each.embedding for each in documents.run(originals)["documents"]] == expected
    assert [each.embedding for each in (await documents.run_async(originals))["documents"]] == expected
    assert originals[0].embedding is None


def test_fields_of_meta_go_in_front(notes: Notes) -> None:
    embedder = SiftlineDocumentEmbedder(notes.address, meta_fields_to_embed=["title"])
    first = embedder.run(_documents()[:1])["documents"][0]
    expected = notes.client.embed([f"Batching {NOTES[0].text}"])[0].tolist()
    assert first.embedding == pytest.approx(expected, abs=2e-3)


async def test_a_pipeline_over_a_store_of_haystack(notes: Notes) -> None:
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(SiftlineDocumentEmbedder(notes.address).run(_documents())["documents"])
    pipeline = Pipeline()
    pipeline.add_component("embedder", SiftlineTextEmbedder(notes.address))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=4))
    pipeline.add_component("ranker", SiftlineRanker(notes.address, top_k=2))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    pipeline.connect("retriever", "ranker")
    best = pipeline.run({"embedder": {"text": QUESTION}, "ranker": {"query": QUESTION}})["ranker"]["documents"]
    assert (best[0].id, len(best)) == ("tokens", 2)
    assert 0 <= best[1].score <= best[0].score <= 1


async def test_retriever_answers_as_the_client_does(notes: Notes) -> None:
    retriever = SiftlineRetriever(notes.collection, notes.address, top_k=3)
    expected = [hit.id for hit in notes.client.search(notes.collection, QUESTION, top_k=3).hits]
    assert [each.id for each in retriever.run(QUESTION)["documents"]] == expected
    assert [each.id for each in (await retriever.run_async(QUESTION))["documents"]] == expected
    assert retriever.run(QUESTION)["documents"][0].meta["recall_rank"] == 1


def test_filters_of_haystack_filter(notes: Notes) -> None:
    retriever = SiftlineRetriever(notes.collection, notes.address)
    both = {"operator": "AND", "conditions": [ENGLISH, RECENT]}
    found = retriever.run(QUESTION, filters=both, top_k=10)["documents"]
    assert {document.id for document in found} == {"lanes", "windows"}


async def test_ranker_gives_the_reranker_s_score(notes: Notes) -> None:
    ranker = SiftlineRanker(notes.address)
    best = ranker.run(QUESTION, _documents(), top_k=2)["documents"]
    expected = notes.client.rerank(QUESTION, [note.text for note in NOTES], top_n=2)
    assert [document.id for document in best] == [NOTES[each.index].id for each in expected]
    assert best[0].score == pytest.approx(expected[0].score, abs=1e-3)
    awaited = (await ranker.run_async(QUESTION, _documents(), top_k=2))["documents"]
    assert [document.id for document in awaited] == [document.id for document in best]
    assert ranker.run(QUESTION, [])["documents"] == []


def test_a_pipeline_goes_into_yaml_and_comes_back(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFTLINE_API_KEY", "sk-secret")
    pipeline = Pipeline()
    key = Secret.from_env_var("SIFTLINE_API_KEY")
    pipeline.add_component("find", SiftlineRetriever(notes.collection, notes.address, api_key=key, top_k=1))
    text = pipeline.dumps()
    assert "sk-secret" not in text
    again = Pipeline.loads(text, allowed_modules=["siftline.haystack"])
    found = again.run({"find": {"query": QUESTION}})["find"]["documents"]
    assert [document.id for document in found] == ["tokens"]
