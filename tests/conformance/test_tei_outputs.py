"""TEI's /embed_sparse and /embed_all over HTTP, with a model that makes both: the numbers are those of our own gRPC."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
import pytest_asyncio

from gateway.app import SERVICES, App
from gateway.settings import GatewaySettings
from serving.health import Health
from siftline import reading, results
from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from tests.conformance import kit
from tests.conformance.deployment import Served
from tests.running import http

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("service", [("tiny-bge-m3", "fp32")], indirect=True, ids=["bge-m3"]),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def url(service: Served) -> AsyncIterator[str]:
    """A gateway before it, without a reranker, a cache, and an index that anyone could reach."""
    nowhere = "redis://127.0.0.1:1"
    settings = GatewaySettings(embed=service.address, rerank="", cache_url="", index_url=nowhere, http="127.0.0.1:0")
    app = App(settings, Health(SERVICES))
    await app.start()
    yield f"http://127.0.0.1:{app.http_port}"
    await app.aclose()


async def ask(url: str, path: str, **body: object) -> http.Answer:
    answer = await asyncio.to_thread(http.ask, url + path, body)
    assert answer.status == 200, answer.body
    return answer


async def expected(channel: grpc.aio.Channel, texts: list[str]) -> results.Embeddings:
    outputs = ["OUTPUT_SPARSE", "OUTPUT_MULTI_VECTOR"]
    request = embed_pb2.EmbedRequest(texts=texts, outputs=outputs)
    return reading.embeddings(await embed_pb2_grpc.EmbedServiceStub(channel).Embed(request, timeout=60.0), "float32")


async def test_sparse(url: str, channel: grpc.aio.Channel) -> None:
    texts = kit.inputs()["queries"][:4]
    truth = await expected(channel, texts)
    answer = await ask(url, "/embed_sparse", inputs=texts)
    assert len(answer.body) == len(texts)
    for found, vector in zip(answer.body, truth.sparse, strict=True):
        assert [set(value) for value in found] == [{"index", "value"}] * len(vector.ids)
        assert [value["index"] for value in found] == vector.ids.tolist()
        np.testing.assert_allclose([value["value"] for value in found], vector.weights, atol=1e-5)
    assert answer.headers["x-compute-tokens"] == str(sum(truth.token_counts))
    one = await ask(url, "/embed_sparse", inputs=texts[0])
    assert [value["index"] for value in one.body[0]] == truth.sparse[0].ids.tolist()


async def test_a_vector_for_each_token(url: str, channel: grpc.aio.Channel) -> None:
    texts = kit.inputs()["queries"][:4]
    truth = await expected(channel, texts)
    answer = await ask(url, "/embed_all", inputs=texts)
    assert len(answer.body) == len(texts)
    for found, vectors in zip(answer.body, truth.multi_vectors, strict=True):
        np.testing.assert_allclose(np.array(found, np.float32), vectors, atol=1e-5)
    cut = await ask(url, "/embed_all", inputs="the " * 2000, truncation_direction="Left")
    assert np.array(cut.body[0]).shape == (1023, truth.multi_vectors[0].shape[1])
