"""llama-index-embeddings-text-embeddings-inference, llama-index-postprocessor-tei-rerank"""

from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference as TeiRerank

from tests.clients.truth import Truth


def check_embeddings(truth: Truth) -> None:
    """`TextEmbeddingsInference`, whose key comes without "Bearer" """
    client = TextEmbeddingsInference(model_name="x", base_url=truth.http, auth_token=truth.key, timeout=60)
    truth.check_vectors(client.get_text_embedding_batch(truth.texts))


def check_rerank(truth: Truth) -> None:
    """`TextEmbeddingInference` (tei_rerank), key without "Bearer" """
    client = TeiRerank(model_name="x", base_url=truth.http, auth_token=truth.key, top_n=3)
    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(place))) for place, text in enumerate(truth.passages)]
    found = client.postprocess_nodes(nodes, query_str=truth.query)
    truth.check_scores([(int(node.node.node_id), node.score) for node in found])
