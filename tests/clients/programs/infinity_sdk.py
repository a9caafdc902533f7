"""infinity-client"""

from infinity_client import Client
from infinity_client.api.default import rerank
from infinity_client.models import RerankInput

from tests.clients.truth import Truth


def check_rerank(truth: Truth) -> None:
    """`rerank`, documents as plain strings"""
    body = RerankInput(query=truth.query, documents=truth.passages, return_documents=True, model="x")
    with Client(base_url=truth.http, headers={"Authorization": f"Bearer {truth.key}"}) as client:
        reply = rerank.sync(client=client, body=body)
    truth.check_scores([(each.index, each.relevance_score) for each in reply.results])
    assert [each.document for each in reply.results] == [truth.passages[place] for place in truth.ranking]
