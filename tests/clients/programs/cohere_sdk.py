"""cohere"""

import cohere

from tests.clients.truth import Truth, refused


def check_rerank_1(truth: Truth) -> None:
    """`Client.rerank` (v1), documents echoed"""
    client = cohere.Client(truth.key, base_url=truth.http)
    reply = client.rerank(model="x", query=truth.query, documents=truth.passages, return_documents=True)
    truth.check_scores([(each.index, each.relevance_score) for each in reply.results])
    assert [each.document.text for each in reply.results] == [truth.passages[place] for place in truth.ranking]


def check_rerank_2(truth: Truth) -> None:
    """`ClientV2.rerank`, `top_n`"""
    client = cohere.ClientV2(truth.key, base_url=truth.http)
    reply = client.rerank(model="x", query=truth.query, documents=truth.passages, top_n=2)
    truth.check_scores([(each.index, each.relevance_score) for each in reply.results])
    assert len(reply.results) == 2


def check_embed_1(truth: Truth) -> None:
    """`Client.embed` (v1)"""
    reply = cohere.Client(truth.key, base_url=truth.http).embed(
        texts=truth.texts, model="x", input_type="search_document"
    )
    truth.check_vectors(reply.embeddings)


def check_embed_2(truth: Truth) -> None:
    """`ClientV2.embed`, several types at once"""
    reply = cohere.ClientV2(truth.key, base_url=truth.http).embed(
        texts=truth.texts, model="x", input_type="search_document", embedding_types=["float", "int8", "ubinary"]
    )
    truth.check_vectors(reply.embeddings.float_)
    assert len(reply.embeddings.int8[0]) == 8 * len(reply.embeddings.ubinary[0])


def check_errors(truth: Truth) -> None:
    """its exceptions"""
    client = cohere.ClientV2(truth.key, base_url=truth.http)
    wrong = refused(cohere.BadRequestError, client.rerank, model="x", query="", documents=truth.passages)
    assert "query" in str(wrong.body)
    stranger = cohere.ClientV2("wrong", base_url=truth.http)
    refused(cohere.UnauthorizedError, stranger.rerank, model="x", query="a", documents=["b"])
