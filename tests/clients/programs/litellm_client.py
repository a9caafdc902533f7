"""litellm"""

import litellm

from tests.clients.truth import Truth


def check_embedding(truth: Truth) -> None:
    """`embedding` as `openai/…`"""
    reply = litellm.embedding("openai/x", input=truth.texts, api_base=f"{truth.http}/v1", api_key=truth.key)
    truth.check_vectors([item["embedding"] for item in reply.data])


def check_rerank(truth: Truth) -> None:
    """`rerank` as `infinity/…`, `hosted_vllm/…`, `cohere/…` and `huggingface/…` (TEI)"""
    bases = {"infinity": "", "hosted_vllm": "/v1", "cohere": "/v2/rerank", "huggingface": ""}
    for provider, base in bases.items():
        reply = litellm.rerank(
            f"{provider}/x",
            query=truth.query,
            documents=truth.passages,
            api_base=truth.http + base,
            api_key=truth.key,
            top_n=3,
        )
        truth.check_scores([(each["index"], each["relevance_score"]) for each in reply.results])
