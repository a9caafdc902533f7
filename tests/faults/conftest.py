from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import model_service
from tests.running.model_service import RunningService


@pytest.fixture(scope="module")
def service(default_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """An embed service of its own: others must not feel what is done to it."""
    model = default_models / "all-minilm-l6-v2"
    with model_service.running("services.embed", model, tmp_path_factory.mktemp("faults")) as service:
        yield service


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
