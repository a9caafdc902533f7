from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import stack
from tests.running.stack import RunningStack


@pytest.fixture(scope="session")
def shared_stack(default_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One stack for all tests that do no harm to it."""
    with stack.running(tmp_path_factory.mktemp("stack")) as running:
        yield running
