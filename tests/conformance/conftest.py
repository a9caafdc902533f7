"""Fixtures: all models of the kit exported once, two engines, one service per model and precision at a time."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from tests.conformance import deployment, kit
from tests.conformance.cases import EMBEDDERS, RERANKERS
from tests.conformance.page import Page

_PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


@pytest.fixture(name="page", scope="session")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Collects what was measured. SIFTLINE_WRITE_DOCS=1 writes it to docs/conformance.md."""
    page = Page()
    yield page
    page.write(_PAGE if os.environ.get("SIFTLINE_WRITE_DOCS") == "1" else tmp_path_factory.mktemp("docs") / _PAGE.name)


@pytest.fixture(name="exported", scope="session")
def _exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kit.require()
    out = tmp_path_factory.mktemp("models")
    deployment.export_all([*EMBEDDERS, *RERANKERS], out)
    return out


@pytest_asyncio.fixture(name="engines", scope="session", loop_scope="session")
async def _engines(exported: Path) -> AsyncIterator[dict[str, str]]:
    """Addresses of a tritonserver for each precision."""
    async with AsyncExitStack() as stack:
        yield {
            precision: await stack.enter_async_context(
                deployment.triton(exported / "repository", exported / f"triton-{precision}.log")
            )
            for precision in deployment.PRECISIONS
        }


@pytest_asyncio.fixture(name="channel", scope="session", loop_scope="session")
async def _channel(
    request: pytest.FixtureRequest, exported: Path, engines: dict[str, str]
) -> AsyncIterator[grpc.aio.Channel]:
    """A service for the parameter (task, model, precision)."""
    task, model, precision = request.param
    async with deployment.service(task, exported / model, engines[precision], precision) as channel:
        yield channel
