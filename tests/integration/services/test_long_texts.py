"""A text that is longer than the model: windows side by side instead of a cut."""

import numpy as np

from siftline.embed.v1 import embed_pb2 as pb

WINDOW = 254  # all-MiniLM-L6-v2 takes 256 tokens, two of them special
SIMILAR = 2e-3


def words(count: int) -> str:
    return "word " * count


def vectors(response: pb.EmbedResponse) -> np.ndarray:
    return np.frombuffer(response.vectors, "<f4").reshape(response.count, response.dimensions)


def test_the_mean_of_windows_weighted_by_tokens(embed) -> None:
    reply = embed.Embed(pb.EmbedRequest(texts=["short", words(700)], truncation=pb.TRUNCATION_WINDOW))
    parts = vectors(embed.Embed(pb.EmbedRequest(texts=[words(WINDOW), words(700 - 2 * WINDOW)])))
    mean = (2 * WINDOW * parts[0] + (700 - 2 * WINDOW) * parts[1]) / 700
    assert np.abs(vectors(reply)[1] - mean / np.linalg.norm(mean)).max() < SIMILAR
    assert list(reply.truncated) == [False, False]
    assert list(reply.token_counts) == [3, 700 + 3 * 2]
    assert list(reply.windows) == [1, 3]


def test_a_text_that_fits_is_not_touched(embed) -> None:
    texts = ["hello world"]
    whole = embed.Embed(pb.EmbedRequest(texts=texts))
    assert embed.Embed(pb.EmbedRequest(texts=texts, truncation=pb.TRUNCATION_WINDOW)).vectors == whole.vectors
