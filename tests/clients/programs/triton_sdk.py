"""tritonclient"""

import numpy as np
import tritonclient.grpc as triton

from tests.clients.truth import Truth


def _tensor(name: str, texts: list[str]) -> triton.InferInput:
    tensor = triton.InferInput(name, [len(texts), 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[text.encode()] for text in texts], object))
    return tensor


def check_infer(truth: Truth) -> None:
    """`InferenceServerClient.infer`: text to embeddings, query and passages to logits, with a key in the headers"""
    headers = {"authorization": f"Bearer {truth.key}"}
    with triton.InferenceServerClient(truth.grpc) as client:
        reply = client.infer("all-minilm-l6-v2", [_tensor("text", truth.texts)], headers=headers)
        truth.check_vectors(reply.as_numpy("embeddings").tolist())
        pairs = [_tensor("query", [truth.query] * len(truth.passages)), _tensor("passage", truth.passages)]
        ranked = client.infer("siftline_minilm_l6_reranker", pairs, headers=headers)
        found = zip(ranked.as_numpy("index").tolist(), ranked.as_numpy("logit").tolist(), strict=True)
        truth.check_scores(list(found), logits=True)
