"""Fixtures: all models of the kit exported once, two engines, one service per model and precision at a time."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from serving.served_model import load
from tests.conformance import deployment, kit
from tests.conformance.cases import MODELS, REFUSABLE
from tests.conformance.deployment import Served
from tests.conformance.page import Page

_PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


@pytest.fixture(name="page", scope="session")
def _page() -> Iterator[Page]:
    """Collects what was measured. SIFTLINE_WRITE_DOCS=1 writes it to docs/conformance.md, else it goes to build/."""
    page = Page()
    yield page
    page.write(_PAGE if os.environ.get("SIFTLINE_WRITE_DOCS") == "1" else deployment.OUT / _PAGE.name)


@pytest_asyncio.fixture(name="engines", scope="session", loop_scope="session")
async def _engines(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, str]]:
    """Addresses of a tritonserver for each precision."""
    kit.require()
    deployment.REPOSITORY.mkdir(parents=True, exist_ok=True)
    logs = tmp_path_factory.mktemp("triton")
    async with AsyncExitStack() as stack:
        servers = [deployment.triton(logs / f"{precision}.log") for precision in deployment.PRECISIONS]
        addresses = [await stack.enter_async_context(server) for server in servers]
        yield dict(zip(deployment.PRECISIONS, addresses, strict=True))


@pytest_asyncio.fixture(name="service", scope="session", loop_scope="session")
async def _service(request: pytest.FixtureRequest, engines: dict[str, str]) -> AsyncIterator[Served]:
    """A service for the parameter (model, precision), where the export allows that."""
    name, precision = request.param
    model = MODELS[name]
    folder = await asyncio.to_thread(deployment.export_model, model)
    if refused := load(folder).refused.get(precision):
        assert (name, precision) in REFUSABLE, refused
        yield Served(refused=refused)
        return
    async with deployment.service(model.task, folder, engines[precision], precision) as address:
        yield Served(address)


@pytest_asyncio.fixture(name="channel", scope="session", loop_scope="session")
async def _channel(service: Served) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(service.address) as channel:
        yield channel
