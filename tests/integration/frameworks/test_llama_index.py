"""siftline.llama_index under LlamaIndex itself, against the running stack."""

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.llms.mock import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode

from siftline.llama_index import SiftlineEmbedding, SiftlineReranker, SiftlineRetriever
from tests.integration.frameworks.conftest import NOTES, QUESTION, Notes

TEXTS = [note.text for note in NOTES]


def _nodes() -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(id_=note.id, text=note.text)) for note in NOTES]


async def test_embedding_is_the_client_s(notes: Notes) -> None:
    embedding = SiftlineEmbedding(address=notes.address)
    expected = notes.client.embed(TEXTS, side="document").tolist()
    assert embedding.get_text_embedding_batch(TEXTS) == expected
    assert await embedding.aget_text_embedding_batch(TEXTS) == expected
    question = notes.client.embed([QUESTION], side="query")[0].tolist()
    assert embedding.get_query_embedding(QUESTION) == question
    assert await embedding.aget_query_embedding(QUESTION) == question
    one = notes.client.embed(TEXTS[:1])[0].tolist()
    assert embedding.get_text_embedding(TEXTS[0]) == pytest.approx(one, abs=2e-3)
    assert await embedding.aget_text_embedding(TEXTS[0]) == pytest.approx(one, abs=2e-3)


def test_an_index_of_llama_index_over_it(notes: Notes) -> None:
    nodes = [each.node for each in _nodes()]
    index = VectorStoreIndex(nodes, embed_model=SiftlineEmbedding(address=notes.address))
    assert index.as_retriever(similarity_top_k=1).retrieve(QUESTION)[0].node_id == "tokens"


async def test_retriever_and_reranker_in_a_query_engine(notes: Notes) -> None:
    engine = RetrieverQueryEngine.from_args(
        SiftlineRetriever(notes.collection, notes.address, top_k=4),
        llm=MockLLM(),  # answers with what it was told to read
        node_postprocessors=[SiftlineReranker(address=notes.address, top_n=2)],
    )
    answer, awaited = engine.query(QUESTION), await engine.aquery(QUESTION)
    assert NOTES[0].text in str(answer)
    assert NOTES[3].text not in str(answer)
    assert [each.node_id for each in answer.source_nodes] == [each.node_id for each in awaited.source_nodes]
    assert (answer.source_nodes[0].node_id, len(answer.source_nodes)) == ("tokens", 2)


async def test_retriever_answers_as_the_client_does(notes: Notes) -> None:
    retriever = SiftlineRetriever(notes.collection, notes.address, top_k=3, filter="year <= 2025")
    nodes, awaited = retriever.retrieve(QUESTION), await retriever.aretrieve(QUESTION)
    expected = notes.client.search(notes.collection, QUESTION, top_k=3, filter="year <= 2025").hits
    assert [node.node_id for node in nodes] == [node.node_id for node in awaited] == [hit.id for hit in expected]
    assert nodes[0].score == pytest.approx(expected[0].score, abs=0.05)
    assert nodes[0].metadata["recall_rank"] == expected[0].recall_rank


def test_a_model_reads_the_document_and_not_how_it_was_found(notes: Notes) -> None:
    node = SiftlineRetriever(notes.collection, notes.address, top_k=1).retrieve(QUESTION)[0].node
    read = node.get_content(metadata_mode=MetadataMode.LLM)
    assert "title: Batching" in read
    assert "recall_score" not in read


async def test_reranker_gives_the_reranker_s_score(notes: Notes) -> None:
    reranker = SiftlineReranker(address=notes.address, top_n=2)
    best = reranker.postprocess_nodes(_nodes(), query_str=QUESTION)
    expected = notes.client.rerank(QUESTION, TEXTS, top_n=2)
    assert [node.node_id for node in best] == [NOTES[each.index].id for each in expected]
    assert best[0].score == pytest.approx(expected[0].score, abs=1e-3)
    awaited = await reranker.apostprocess_nodes(_nodes(), query_str=QUESTION)
    assert [node.node_id for node in awaited] == [node.node_id for node in best]
    assert reranker.postprocess_nodes([], query_str=QUESTION) == []
    with pytest.raises(ValueError, match="query"):
        reranker.postprocess_nodes(_nodes())


def test_keys_stay_out_of_what_is_stored() -> None:
    for component in (SiftlineEmbedding(api_key="sk-secret"), SiftlineReranker(api_key="sk-secret")):
        assert "sk-secret" not in component.to_json() + repr(component)
