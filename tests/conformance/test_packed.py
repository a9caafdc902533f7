"""The packed layout gives what the padded one gives: by onnx.reference for every family, through the services for two.

No GPU is needed: onnx.reference computes the graph as it is, with our own PackedMultiHeadAttention; behind the services
that operator is spelled out in others (spelled_out.py), and everything else is as it would be on a GPU.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
import pytest_asyncio
import torch
from tokenizers import Tokenizer

from export import sample
from export.errors import ExportError
from export.graph_writer import Wish
from export.packed_attention import OPERATOR
from export.verification import TOLERANCE, compute, difference_of
from serving.batching.rows import Rows, take
from serving.served_model import TOKEN_OUTPUTS, TOKENIZER_FILE, Precision, load
from siftline.embed.v1 import embed_pb2_grpc
from siftline.rerank.v1 import rerank_pb2_grpc
from tests.conformance import deployment, kit
from tests.conformance.cases import EMBED_CASES, MODELS, PACKED, PAIR_CASES, EmbedCase, PairCase
from tests.conformance.page import Page
from tests.conformance.spelled_out import spell_out

# What a graph with fixed shapes may hold, to be captured as a CUDA graph: nothing that is computed on the host.
ON_THE_HOST = {"Shape", "Range", "ConstantOfShape", "NonZero", "If", "Loop"}
SERVED = ("tiny-bge-m3", "luyug-bert-reranker")


def export_packed(name: str, precision: Precision = "fp32") -> Path:
    return deployment.export_model(MODELS[name], Wish("packed", precision), f"{name}-packed-{precision}")


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_equals_the_padded_graph(name: str, precision: Precision, page: Page) -> None:
    kit.require()
    padded, packed = deployment.export_model(MODELS[name]), export_packed(name, precision)
    rows = sample.rows(Tokenizer.from_file(str(padded / TOKENIZER_FILE)), load(padded))
    expected = compute(deployment.graph_of(padded), rows, load(padded))
    together = compute(deployment.graph_of(packed), rows, load(packed))
    for output, values in expected.items():
        difference, allowed = difference_of(output, together[output], values), TOLERANCE[output][precision]
        page.packed[name, output, precision] = len(rows), difference, allowed
        assert difference <= allowed
    for index in range(0, len(rows), 3):
        alone = compute(deployment.graph_of(packed), take(rows, np.array([index])), load(packed))
        for output, values in alone.items():
            same = expected[output][_span(rows, index) if output in TOKEN_OUTPUTS else slice(index, index + 1)]
            assert difference_of(output, values, same) <= TOLERANCE[output][precision]


def _span(rows: Rows, index: int) -> slice:
    begin = int(rows.lengths[:index].sum())
    return slice(begin, begin + int(rows.lengths[index]))


@pytest.mark.parametrize("name", [name for name in PACKED if name != "tiny-bge-m3"])
def test_what_the_engine_is_given(name: str) -> None:
    """The operator in each layer, fp16 weights in the encoder; and no shape that is computed on the host."""
    kit.require()
    graph = onnx.load(str(deployment.graph_of(export_packed(name, "fp16")))).graph
    operators = [node for node in graph.node if node.op_type == OPERATOR]
    types = {weight.name: weight.data_type for weight in graph.initializer}
    assert len(operators) == 3
    assert {types[node.input[3]] for node in operators} == {onnx.TensorProto.FLOAT16}
    assert not ON_THE_HOST & {node.op_type for node in graph.node}


@pytest.mark.parametrize("name", [name for name in MODELS if name not in PACKED])
def test_others_are_refused(name: str) -> None:
    kit.require()
    with pytest.raises(ExportError, match=f"^{name}-packed-fp32: the packed layout is not for "):
        export_packed(name)
    assert not (deployment.OUT / f"{name}-packed-fp32").exists()


@pytest_asyncio.fixture(name="packed_service", scope="session", loop_scope="session")
async def _packed_service(request: pytest.FixtureRequest, engines: dict[str, str]) -> AsyncIterator[grpc.aio.Channel]:
    """A service for the model of that name, in the packed layout."""
    model = MODELS[request.param]
    folder = await asyncio.to_thread(
        deployment.export_model, model, Wish("packed", "fp32"), f"{model.name}-packed-on-cpu"
    )
    spell_out(deployment.graph_of(folder))
    async with (
        deployment.service(model.task, folder, engines["fp32"], "fp32") as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield channel


CASES = [pytest.param(case, case.model, id=str(case)) for case in (*EMBED_CASES, *PAIR_CASES) if case.model in SERVED]


@pytest.mark.parametrize(("case", "packed_service"), CASES, indirect=["packed_service"])
@pytest.mark.asyncio(loop_scope="session")
async def test_reference_through_the_service(case: EmbedCase | PairCase, packed_service: grpc.aio.Channel) -> None:
    expected = case.expected(deployment.source(MODELS[case.model]).folder)
    if isinstance(case, EmbedCase):
        call = embed_pb2_grpc.EmbedServiceStub(packed_service).Embed
    else:
        call = rerank_pb2_grpc.RerankServiceStub(packed_service).Rerank
    replies = await asyncio.gather(*(call(request, timeout=120.0) for request in case.requests()))
    found = case.read(replies, expected.shape[-1])
    case.compare(found, expected, "fp32").check()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
@pytest.mark.asyncio(loop_scope="session")
async def test_without_a_gpu_a_service_says_so(engines: dict[str, str]) -> None:
    folder = await asyncio.to_thread(export_packed, "tiny-e5")
    with pytest.raises(AssertionError, match="needs a GPU; export it with --layout padded"):
        async with deployment.service("embed", folder, engines["fp32"], "fp32"):
            pass
