"""Fixtures: all models of the kit exported once, two engines, one service per model and precision at a time."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from tests.conformance import deployment, kit
from tests.conformance.cases import MODELS
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
async def _service(request: pytest.FixtureRequest, engines: dict[str, str]) -> AsyncIterator[str]:
    """Address of a service for the parameter (model, precision)."""
    name, precision = request.param
    model = MODELS[name]
    folder = await asyncio.to_thread(deployment.export_model, model)
    async with deployment.service(model.task, folder, engines[precision], precision) as address:
        yield address


@pytest_asyncio.fixture(name="channel", scope="session", loop_scope="session")
async def _channel(service: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(service) as channel:
        yield channel
