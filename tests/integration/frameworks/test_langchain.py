"""siftline.langchain under LangChain itself, against the running stack."""

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from siftline import SiftlineError
from siftline.langchain import SiftlineEmbeddings, SiftlineReranker, SiftlineRetriever
from tests.integration.frameworks.conftest import NOTES, QUESTION, Notes

FOUND = {"title", "score", "recall_rank", "recall_score", "rerank_score", "lang", "year"}


@pytest.fixture
def retriever(notes: Notes) -> SiftlineRetriever:
    return SiftlineRetriever(address=notes.address, collection=notes.collection, options={"top_k": 3})


def test_embeddings_are_the_client_s(notes: Notes) -> None:
    embeddings = SiftlineEmbeddings(notes.address)
    texts = [note.text for note in NOTES]
    assert embeddings.embed_documents(texts) == notes.client.embed(texts, side="document").tolist()
    assert embeddings.embed_query(QUESTION) == notes.client.embed([QUESTION], side="query")[0].tolist()
    assert embeddings.embed_documents([]) == []


async def test_embeddings_awaited_carry_a_vector_store_of_langchain(notes: Notes) -> None:
    store = InMemoryVectorStore(SiftlineEmbeddings(notes.address))
    await store.aadd_texts([note.text for note in NOTES])
    [nearest] = await store.asimilarity_search(QUESTION, k=1)
    assert nearest.page_content == NOTES[0].text


def test_more_texts_than_a_request_takes(notes: Notes) -> None:
    texts = [f"text {number}" for number in range(600)]
    vectors = SiftlineEmbeddings(notes.address).embed_documents(texts)
    assert len(vectors) == 600
    assert vectors[599] == pytest.approx(notes.client.embed(texts[599:])[0].tolist(), abs=2e-3)


def test_retriever_in_a_chain(notes: Notes, retriever: SiftlineRetriever) -> None:
    chain = retriever | RunnableLambda(lambda documents: [document.id for document in documents])
    assert chain.invoke(QUESTION) == [hit.id for hit in notes.client.search(notes.collection, QUESTION, top_k=3).hits]


async def test_documents_say_how_they_were_found(notes: Notes, retriever: SiftlineRetriever) -> None:
    best = (await retriever.ainvoke(QUESTION))[0]
    hit = notes.client.search(notes.collection, QUESTION).hits[0]
    assert (best.id, best.page_content) == (hit.id, hit.text)
    assert best.metadata.keys() == FOUND
    assert best.metadata["rerank_score"] == pytest.approx(hit.rerank_score, abs=1e-3)


def test_an_invocation_may_change_the_options(retriever: SiftlineRetriever) -> None:
    assert [document.id for document in retriever.invoke(QUESTION, filter='lang = "de"')] == ["tische"]
    assert len(retriever.invoke(QUESTION, top_k=1)) == 1
    with pytest.raises(TypeError, match="'topk'"):
        retriever.invoke(QUESTION, topk=1)


async def test_reranker_compresses(notes: Notes) -> None:
    documents = [Document(note.text, id=note.id, metadata=dict(note.metadata)) for note in NOTES]
    reranker = SiftlineReranker(address=notes.address, top_n=2)
    best = reranker.compress_documents(documents, QUESTION)
    expected = notes.client.rerank(QUESTION, [note.text for note in NOTES], top_n=2)
    assert [document.id for document in best] == [NOTES[each.index].id for each in expected]
    assert best[0].metadata["relevance_score"] == pytest.approx(expected[0].score, abs=1e-3)
    assert best[0].metadata["lang"] == "en"
    assert "relevance_score" not in documents[0].metadata
    assert [document.id for document in await reranker.acompress_documents(documents, QUESTION)] == [
        document.id for document in best
    ]
    assert list(await reranker.acompress_documents([], QUESTION)) == []


def test_errors_are_siftline_s(notes: Notes) -> None:
    with pytest.raises(SiftlineError, match="no-such"):
        SiftlineRetriever(address=notes.address, collection="no-such").invoke(QUESTION)
