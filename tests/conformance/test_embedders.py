"""Every embedding family gives its own library's vectors, through the running service."""

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from siftline.embed.v1 import embed_pb2, embed_pb2_grpc
from tests.conformance import comparison, deployment
from tests.conformance.cases import EMBED_CASES, MODELS, EmbedCase
from tests.conformance.deployment import PRECISIONS
from tests.conformance.page import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

RUNS = [
    pytest.param(case, precision, (case.model, precision), id=f"{case}-{precision}")
    for precision in PRECISIONS
    for case in EMBED_CASES
]


async def embed(
    channel: grpc.aio.Channel, texts: list[str], prompts: list[str], request: dict[str, Any]
) -> NDArray[np.float32]:
    stub = embed_pb2_grpc.EmbedServiceStub(channel)
    reply = await stub.Embed(embed_pb2.EmbedRequest(texts=texts, prompt_texts=prompts, **request), timeout=120.0)
    return np.frombuffer(reply.vectors, "<f4").reshape(reply.count, reply.dimensions)


@pytest.mark.parametrize(("case", "precision", "channel"), RUNS, indirect=["channel"])
async def test_reference(case: EmbedCase, precision: str, channel: grpc.aio.Channel, page: Page) -> None:
    texts, prompts = case.texts(), case.prompts()
    kept = [index for index, text in enumerate(texts) if text]
    expected = case.expected(deployment.source(MODELS[case.model]).folder)[kept]
    texts, prompts = [texts[i] for i in kept], [prompts[i] for i in kept] if prompts else []

    together = comparison.vectors(await embed(channel, texts, prompts, case.request), expected, precision)
    singles = [embed(channel, [text], prompts[i : i + 1], case.request) for i, text in enumerate(texts)]
    alone = comparison.vectors(np.concatenate(await asyncio.gather(*singles)), expected, precision)

    page.add(case.reference, case.array, precision, together)
    page.add(case.reference, f"{case.array}, alone", precision, alone)
    for found in (together, alone):
        assert found.difference <= found.tolerance
        assert found.spearman >= comparison.SPEARMAN[precision]
