"""Every embedding family gives its own library's vectors, through the running service."""

import asyncio

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from siftline import reading
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
    channel: grpc.aio.Channel, case: EmbedCase, texts: list[str], prompts: list[str], width: int
) -> NDArray[np.float32]:
    """As EmbedCase.expected has them; `width` is that of sparse vectors."""
    stub = embed_pb2_grpc.EmbedServiceStub(channel)
    outputs = [f"OUTPUT_{case.output.upper()}"]
    request = embed_pb2.EmbedRequest(texts=texts, prompt_texts=prompts, outputs=outputs, **case.request)
    found = reading.embeddings(await stub.Embed(request, timeout=120.0), "float32")
    match case.output:
        case "dense":
            return found.vectors
        case "multi_vector":
            return np.concatenate(found.multi_vectors)
        case "sparse":
            rows = np.zeros((len(texts), width), np.float32)
            for row, vector in zip(rows, found.sparse, strict=True):
                row[vector.ids] = vector.weights
            return rows


@pytest.mark.parametrize(("case", "precision", "channel"), RUNS, indirect=["channel"])
async def test_reference(case: EmbedCase, precision: str, channel: grpc.aio.Channel, page: Page) -> None:
    texts, prompts = case.texts(), case.prompts()
    kept = [index for index, text in enumerate(texts) if text]
    expected = case.expected(deployment.source(MODELS[case.model]).folder, kept)
    texts, prompts = [texts[i] for i in kept], [prompts[i] for i in kept] if prompts else []
    compare, width = comparison.weights if case.output == "sparse" else comparison.vectors, expected.shape[1]

    together = compare(await embed(channel, case, texts, prompts, width), expected, precision)
    singles = [embed(channel, case, [text], prompts[i : i + 1], width) for i, text in enumerate(texts)]
    alone = compare(np.concatenate(await asyncio.gather(*singles)), expected, precision)

    page.add(case.reference, case.array, precision, together)
    page.add(case.reference, f"{case.array}, alone", precision, alone)
    for found in (together, alone):
        assert found.difference <= found.tolerance
        assert found.spearman >= comparison.SPEARMAN[precision]
