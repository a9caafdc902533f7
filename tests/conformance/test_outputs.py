"""Sparse and multi-vector outputs through the running service: together with dense ones, in windows, in other dtypes.

That the numbers are the reference's is in test_embedders.py.
"""

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest

from siftline import reading, results
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from tests.conformance import kit

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("service", [("tiny-bge-m3", "fp32")], indirect=True, ids=["bge-m3"]),
]
EVERY = ["OUTPUT_DENSE", "OUTPUT_SPARSE", "OUTPUT_MULTI_VECTOR"]
NEAR = 1e-5  # fp32
WINDOW = 1022  # 1024 tokens, two of them special


async def embed(channel: grpc.aio.Channel, dtype: results.Dtype = "float32", **request: Any) -> results.Embeddings:
    message = embed_pb2.EmbedRequest(dtype=f"DTYPE_{dtype.upper()}", **request)
    reply = await embed_pb2_grpc.EmbedServiceStub(channel).Embed(message, timeout=60.0)
    return reading.embeddings(reply, dtype)


def weights(vector: results.SparseVector) -> dict[int, float]:
    return dict(zip(vector.ids.tolist(), vector.weights.tolist(), strict=True))


def same_weights(one: results.SparseVector, other: results.SparseVector) -> bool:
    first, second = weights(one), weights(other)
    return all(abs(first.get(token, 0) - second.get(token, 0)) < NEAR for token in first.keys() | second.keys())


async def test_requests_for_different_outputs_share_batches(channel: grpc.aio.Channel) -> None:
    texts = kit.inputs()["queries"]
    wishes = [[], EVERY[:1], EVERY[1:2], EVERY[2:], EVERY]
    found = await asyncio.gather(*(embed(channel, texts=texts, outputs=wish) for wish in wishes * 3))
    alone = await embed(channel, texts=texts, outputs=EVERY)
    for reply, wish in zip(found, wishes * 3, strict=True):
        assert bool(len(reply.sparse)) == (EVERY[1] in wish)
        assert bool(len(reply.multi_vectors)) == (EVERY[2] in wish)
        assert bool(reply.vectors.size) == (not wish or EVERY[0] in wish)
        if reply.vectors.size:
            np.testing.assert_allclose(reply.vectors, alone.vectors, atol=NEAR)
        for number, vector in enumerate(reply.sparse):
            assert same_weights(vector, alone.sparse[number])
        for number, vectors in enumerate(reply.multi_vectors):
            np.testing.assert_allclose(vectors, alone.multi_vectors[number], atol=NEAR)


async def test_windows(channel: grpc.aio.Channel) -> None:
    """The largest weight of any window; the vectors of all windows, each with the end token of its own."""
    window = "the " * WINDOW
    long, first, rest = "the " * (WINDOW + 40), window, "the " * 40
    whole = await embed(channel, texts=[long], outputs=EVERY, truncation="TRUNCATION_WINDOW")
    parts = await embed(channel, texts=[first, rest], outputs=EVERY)
    assert list(whole.token_counts) == [WINDOW + 40 + 4]
    assert whole.windows == (2,)
    np.testing.assert_allclose(whole.multi_vectors[0], np.concatenate(parts.multi_vectors), atol=NEAR)
    both = [weights(part) for part in parts.sparse]
    for token, weight in weights(whole.sparse[0]).items():
        assert abs(weight - max(part.get(token, 0.0) for part in both)) < NEAR


async def test_other_dtypes_are_roundings(channel: grpc.aio.Channel) -> None:
    texts = kit.inputs()["queries"][:3]
    full = await embed(channel, texts=texts, outputs=EVERY)
    half = await embed(channel, "float16", texts=texts, outputs=EVERY)
    bits = await embed(channel, "binary", texts=texts, outputs=[EVERY[2]])
    for number in range(len(texts)):
        np.testing.assert_allclose(half.sparse[number].weights, full.sparse[number].weights, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(half.multi_vectors[number], full.multi_vectors[number], atol=1e-3)
        signs = np.unpackbits(bits.multi_vectors[number], axis=1).astype(bool)
        clear = np.abs(full.multi_vectors[number]) > 1e-3
        assert (signs == (full.multi_vectors[number] > 0))[clear].all()


async def test_what_cannot_be_is_refused(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="dtype: int8 is not for sparse weights"):
        await embed(channel, "int8", texts=["a"], outputs=[EVERY[1]])
    # 400 texts of 1024 tokens, 48 numbers for each token: more than a message may hold, so nothing is computed
    with pytest.raises(grpc.aio.AioRpcError, match="texts: 409600 tokens, whose vectors have 78643200 bytes"):
        await embed(channel, texts=["the " * WINDOW] * 400, outputs=[EVERY[2]])


async def test_the_model_says_what_it_makes(channel: grpc.aio.Channel) -> None:
    found = await embed_pb2_grpc.EmbedServiceStub(channel).GetModel(embed_pb2.GetModelRequest())
    model = reading.embed_model(found)
    assert model.outputs == ("dense", "sparse", "multi_vector")
    assert (model.dimensions, model.multi_vector_dimensions) == (64, 48)
