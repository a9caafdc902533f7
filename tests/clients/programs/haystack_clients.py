"""haystack-ai, huggingface-api-haystack"""

from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.embedders.huggingface_api import HuggingFaceAPITextEmbedder
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker

from tests.clients.truth import Truth


def check_text_embedder(truth: Truth) -> None:
    """`HuggingFaceAPITextEmbedder`"""
    client = HuggingFaceAPITextEmbedder(
        api_type="text_embeddings_inference", api_params={"url": truth.http}, token=Secret.from_token(truth.key)
    )
    truth.check_vectors([client.run(text)["embedding"] for text in truth.texts])


def check_ranker(truth: Truth) -> None:
    """`HuggingFaceTEIRanker`, with a truncation direction"""
    client = HuggingFaceTEIRanker(url=truth.http, top_k=3, token=Secret.from_token(truth.key))
    documents = [Document(id=str(place), content=text) for place, text in enumerate(truth.passages)]
    found = client.run(query=truth.query, documents=documents)["documents"]
    truth.check_scores([(int(document.id), document.score) for document in found])
