"""Every cross-encoder family gives its own library's scores, through the running service."""

import asyncio

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc
from tests.conformance import comparison, deployment, kit
from tests.conformance.cases import MODELS, PAIR_CASES, PairCase
from tests.conformance.deployment import PRECISIONS
from tests.conformance.page import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

RUNS = [
    pytest.param(case, precision, (case.model, precision), id=f"{case}-{precision}")
    for precision in PRECISIONS
    for case in PAIR_CASES
]


async def rerank(
    channel: grpc.aio.Channel, query: str, passages: list[str], long_passage: str
) -> rerank_pb2.RerankResponse:
    request = rerank_pb2.RerankRequest(
        query=query,
        passages=passages,
        order=rerank_pb2.ORDER_INPUT,
        long_passage=rerank_pb2.LongPassage.Value(long_passage),
    )
    stub = rerank_pb2_grpc.RerankServiceStub(channel)
    response: rerank_pb2.RerankResponse = await stub.Rerank(request, timeout=120.0)
    return response


@pytest.mark.parametrize(("case", "precision", "channel"), RUNS, indirect=["channel"])
async def test_pairs(case: PairCase, precision: str, channel: grpc.aio.Channel, page: Page) -> None:
    pairs = case.pairs()
    kept = [index for index, (query, _) in enumerate(pairs) if query]
    expected = case.expected(deployment.source(MODELS[case.model]).folder)[kept]

    calls = [rerank(channel, pairs[i][0], [pairs[i][1]], "LONG_PASSAGE_TRUNCATE") for i in kept]
    found = np.array([reply.results[0].logit for reply in await asyncio.gather(*calls)], np.float32)
    compared = comparison.logits(found, expected, precision, case.terms)
    one_by_one = np.array([(await rerank(channel, *_one(pairs[i]))).results[0].logit for i in kept[:8]], np.float32)
    alone = comparison.logits(one_by_one, expected[:8], precision, case.terms)

    page.add(case.reference, case.array, precision, compared)
    page.add(case.reference, f"{case.array}, alone", precision, alone)
    assert compared.difference <= compared.tolerance
    assert compared.spearman >= comparison.SPEARMAN[precision]
    assert alone.difference <= alone.tolerance


def _one(pair: tuple[str, str]) -> tuple[str, list[str], str]:
    return pair[0], [pair[1]], "LONG_PASSAGE_TRUNCATE"


@pytest.mark.parametrize(
    ("number", "precision", "channel"),
    [pytest.param(n, p, ("bce-reranker", p), id=f"{n}-{p}") for p in PRECISIONS for n in (0, 1)],
    indirect=["channel"],
)
async def test_long_passages(number: int, precision: str, channel: grpc.aio.Channel, page: Page) -> None:
    """BCEmbedding's rerank(): windows, the largest score of a passage's windows, original order kept."""
    asked = kit.inputs()["rerank"][number]
    arrays = kit.reference("bce-reranker.bce")
    reply = await rerank(channel, asked["query"], asked["passages"], "LONG_PASSAGE_WINDOW")
    found: NDArray[np.float32] = np.array([result.logit for result in reply.results], np.float32)
    compared = comparison.logits(found, comparison.logit(arrays[f"rerank{number}"]), precision)
    page.add("bce-reranker.bce", f"rerank{number}, windows", precision, compared)
    assert compared.difference <= compared.tolerance
    assert np.argsort(found)[::-1].tolist() == arrays[f"rerank{number}_ids"].astype(int).tolist()
    assert max(result.windows for result in reply.results) > 1
