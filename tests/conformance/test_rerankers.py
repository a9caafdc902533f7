"""Every cross-encoder family gives its own library's scores, through the running service."""

import asyncio

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from siftline.rerank.v1 import rerank_pb2, rerank_pb2_grpc
from tests.conformance import comparison, deployment, kit
from tests.conformance.cases import MODELS, PAIR_CASES, PairCase
from tests.conformance.deployment import PRECISIONS, Served
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


@pytest.mark.parametrize(("case", "precision", "service"), RUNS, indirect=["service"])
async def test_pairs(case: PairCase, precision: str, service: Served, channel: grpc.aio.Channel, page: Page) -> None:
    if service.refused:
        page.refuse(case.reference, case.array, precision, service.refused)
        return
    expected = case.expected(deployment.source(MODELS[case.model]).folder)
    stub, requests = rerank_pb2_grpc.RerankServiceStub(channel), case.requests()
    together = case.read(await asyncio.gather(*(stub.Rerank(request, timeout=120.0) for request in requests)))
    one_by_one = case.read([await stub.Rerank(request, timeout=120.0) for request in requests[:8]])

    compared = case.compare(together, expected, precision)
    alone = case.compare(one_by_one, expected[:8], precision)
    page.add(case.reference, case.array, precision, compared)
    page.add(case.reference, f"{case.array}, alone", precision, alone)
    compared.check()
    alone.check(ranks=False)


@pytest.mark.parametrize(
    ("number", "precision", "service"),
    [pytest.param(n, p, ("bce-reranker", p), id=f"{n}-{p}") for p in PRECISIONS for n in (0, 1)],
    indirect=["service"],
)
async def test_long_passages(
    number: int, precision: str, service: Served, channel: grpc.aio.Channel, page: Page
) -> None:
    """BCEmbedding's rerank(): windows, the largest score of a passage's windows, original order kept."""
    if service.refused:
        page.refuse("bce-reranker.bce", f"rerank{number}, windows", precision, service.refused)
        return
    asked = kit.inputs()["rerank"][number]
    arrays = kit.reference("bce-reranker.bce")
    reply = await rerank(channel, asked["query"], asked["passages"], "LONG_PASSAGE_WINDOW")
    found: NDArray[np.float32] = np.array([result.logit for result in reply.results], np.float32)
    compared = comparison.logits(found, comparison.logit(arrays[f"rerank{number}"]), precision)
    page.add("bce-reranker.bce", f"rerank{number}, windows", precision, compared)
    assert compared.difference <= compared.tolerance
    assert np.argsort(found)[::-1].tolist() == arrays[f"rerank{number}_ids"].astype(int).tolist()
    assert max(result.windows for result in reply.results) > 1


@pytest.mark.parametrize("service", [("bce-reranker", "fp32")], indirect=True, ids=["bce"])
async def test_passages_without_text(channel: grpc.aio.Channel) -> None:
    """BCEmbedding drops empty passages, so that its indices shift, and fails at control characters.

    Here each keeps its place: the others score as the reference says, and these as an empty second segment does.
    """
    asked = kit.inputs()["rerank"][0]
    expected = comparison.logit(kit.reference("bce-reranker.bce")["rerank0"])
    passages = ["", *asked["passages"], "\u200b", "\x00\x01\x7f"]  # no token, and an unknown one
    reply = await rerank(channel, asked["query"], passages, "LONG_PASSAGE_WINDOW")
    found = [result.logit for result in reply.results]
    assert [result.index for result in reply.results] == list(range(len(passages)))
    np.testing.assert_allclose(found[1:-2], expected, atol=comparison.LOGITS["fp32"])
    assert abs(found[-2] - found[0]) <= comparison.LOGITS["fp32"]
    assert np.isfinite(found[-1])
