"""huggingface-hub"""

from huggingface_hub import InferenceClient

from tests.clients.truth import Truth


def _client(truth: Truth) -> InferenceClient:
    return InferenceClient(truth.http, token=truth.key)


def check_feature_extraction(truth: Truth) -> None:
    """`InferenceClient.feature_extraction`, of one text and with options"""
    client = _client(truth)
    truth.check_vectors([client.feature_extraction(text)[0].tolist() for text in truth.texts])
    vector = client.feature_extraction("a text", normalize=True, truncate=True, truncation_direction="right")
    assert vector.shape == (1, 384)


def check_sentence_similarity(truth: Truth) -> None:
    """`InferenceClient.sentence_similarity`"""
    same, other = _client(truth).sentence_similarity("a cat", other_sentences=["a cat", "the stock market"])
    assert same > 0.99
    assert other < 0.5
