"""rerankers"""

from rerankers.models.api_rankers import APIRanker

from tests.clients.truth import Truth


def check_providers(truth: Truth) -> None:
    """`APIRanker` as cohere, jina and text-embeddings-inference, at our URL"""
    for provider, path in (("cohere", "/v1/rerank"), ("jina", "/v1/rerank"), ("text-embeddings-inference", "/rerank")):
        client = APIRanker("x", truth.key, provider, url=truth.http + path)
        found = client.rank(query=truth.query, docs=truth.passages, doc_ids=[0, 1, 2])
        truth.check_scores([(each.doc_id, each.score) for each in found.results])
