"""Every embedding family gives its own library's vectors, through the running service."""

import asyncio

import grpc
import pytest

from siftline.embed.v1 import embed_pb2_grpc
from tests.conformance import deployment
from tests.conformance.cases import EMBED_CASES, MODELS, EmbedCase
from tests.conformance.deployment import PRECISIONS, Served
from tests.conformance.page import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

RUNS = [
    pytest.param(case, precision, (case.model, precision), id=f"{case}-{precision}")
    for precision in PRECISIONS
    for case in EMBED_CASES
]


@pytest.mark.parametrize(("case", "precision", "service"), RUNS, indirect=["service"])
async def test_reference(
    case: EmbedCase, precision: str, service: Served, channel: grpc.aio.Channel, page: Page
) -> None:
    if service.refused:
        page.refuse(case.reference, case.array, precision, service.refused)
        return
    expected = case.expected(deployment.source(MODELS[case.model]).folder)
    stub = embed_pb2_grpc.EmbedServiceStub(channel)
    for what, alone in ((case.array, False), (f"{case.array}, alone", True)):
        calls = [stub.Embed(request, timeout=120.0) for request in case.requests(alone=alone)]
        found = case.read(await asyncio.gather(*calls), expected.shape[1])
        compared = case.compare(found, expected, precision)
        page.add(case.reference, what, precision, compared)
        compared.check()
