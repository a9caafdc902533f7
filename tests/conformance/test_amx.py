"""With the operator for AMX a model gives what its padded graph gives, what its own library gives, and alone what it
gives among others.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from tokenizers import Tokenizer

from export import engine, sample
from export.amx import library
from export.errors import ExportError
from export.graph_writer import Wish
from export.verification import compute
from serving.batching.rows import Rows, take
from serving.layouts import layout_of
from serving.served_model import TOKEN_WEIGHTS, TOKENIZER_FILE, load
from siftline.embed.v1 import embed_pb2_grpc
from siftline.rerank.v1 import rerank_pb2_grpc
from tests.conformance import comparison, deployment, kit
from tests.conformance.cases import EMBED_CASES, MODELS, PACKED, PAIR_CASES, EmbedCase, PairCase
from tests.conformance.page import Page

pytestmark = pytest.mark.skipif(bool(library.refusal()), reason=library.refusal())

Outputs = dict[str, NDArray[np.float32]]
# Models of random weights whose order bf16 does not keep, whoever computes it: see the page.
ACCEPTED = ("tiny-bge-m3", *(name for name in PACKED if MODELS[name].task == "rerank"))


def export_for_amx(name: str) -> Path:
    wish = Wish(engine="amx", accept=name in ACCEPTED)
    return deployment.export_model(MODELS[name], wish, f"{name}-amx")


@cache
def session(folder: Path) -> Any:
    return engine.runner("amx_session").open_with_amx(deployment.graph_of(folder), 1)[0]


def compute_with_amx(folder: Path, rows: Rows) -> Outputs:
    """All rows in one batch; per token [T, ...]."""
    names = [output.name for output in session(folder).get_outputs()]
    found = session(folder).run(None, layout_of(load(folder)).batch([rows]).arrays)
    return dict(zip(names, found, strict=True))


def in_batches_of(size: int, folder: Path, rows: Rows) -> Outputs:
    parts = np.split(np.arange(len(rows)), range(size, len(rows), size))
    found = [compute_with_amx(folder, take(rows, part)) for part in parts]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def rows_of(folder: Path) -> Rows:
    return sample.many_rows(Tokenizer.from_file(str(folder / TOKENIZER_FILE)), load(folder))


def compare(output: str, found: NDArray[np.float32], expected: NDArray[np.float32]) -> comparison.Compared:
    if output == TOKEN_WEIGHTS:
        return comparison.weights(found, expected, "bf16")
    return (comparison.vectors if "vectors" in output else comparison.logits)(
        found.squeeze(), expected.squeeze(), "bf16"
    )


@pytest.mark.parametrize("name", PACKED)
def test_equals_the_padded_graph(name: str, page: Page) -> None:
    kit.require()
    padded, folder = deployment.export_model(MODELS[name]), export_for_amx(name)
    rows = rows_of(folder)
    expected, found = compute(deployment.graph_of(padded), rows, load(padded)), compute_with_amx(folder, rows)
    assert found.keys() == expected.keys()
    for output, values in expected.items():
        compared = compare(output, found[output], values)
        page.amx[name, "padded, fp32", output.replace("_", " ")] = compared, name in ACCEPTED
        compared.check(ranks=name not in ACCEPTED)


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("size", [1, 7])
def test_a_row_is_the_same_in_any_batch(name: str, size: int) -> None:
    kit.require()
    folder = export_for_amx(name)
    rows = rows_of(folder)
    together, apart = compute_with_amx(folder, rows), in_batches_of(size, folder, rows)
    for output, values in together.items():
        np.testing.assert_array_equal(apart[output], values)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in PACKED])
def test_others_are_refused(name: str) -> None:
    kit.require()
    with pytest.raises(ExportError, match=f"^{name}-amx: the operator for AMX is not for "):
        export_for_amx(name)
    assert not (deployment.OUT / f"{name}-amx").exists()


@pytest_asyncio.fixture(name="amx_service", scope="session", loop_scope="session")
async def _amx_service(request: pytest.FixtureRequest, engines: dict[str, str]) -> AsyncIterator[grpc.aio.Channel]:
    """A service for the model of that name."""
    folder = await asyncio.to_thread(export_for_amx, request.param)
    async with (
        deployment.service(MODELS[request.param].task, folder, engines["bf16"], "bf16") as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield channel


CASES = [pytest.param(case, case.model, id=str(case)) for case in (*EMBED_CASES, *PAIR_CASES) if case.model in PACKED]


@pytest.mark.parametrize(("case", "amx_service"), CASES, indirect=["amx_service"])
@pytest.mark.asyncio(loop_scope="session")
async def test_reference_through_the_service(
    case: EmbedCase | PairCase, amx_service: grpc.aio.Channel, page: Page
) -> None:
    """Together with others, which the service puts into batches as it likes, and one after the other."""
    expected = case.expected(deployment.source(MODELS[case.model]).folder)
    if isinstance(case, EmbedCase):
        call, requests = embed_pb2_grpc.EmbedServiceStub(amx_service).Embed, case.requests(alone=True)
    else:
        call, requests = rerank_pb2_grpc.RerankServiceStub(amx_service).Rerank, case.requests()
    together = await asyncio.gather(*(call(request, timeout=120.0) for request in requests))
    found = case.read(together, expected.shape[-1])
    compared, accepted = case.compare(found, expected, "bf16"), case.model in ACCEPTED
    page.amx[case.model, case.reference, case.array] = compared, accepted
    compared.check(ranks=not accepted)
    alone = case.read([await call(request, timeout=120.0) for request in requests], expected.shape[-1])
    np.testing.assert_array_equal(alone, found)
