"""What every test may use: the default models, exported once, the services that serve them, and the whole stack."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.running import model_service, stack
from tests.running.model_service import RunningService
from tests.running.stack import RunningStack

MODELS = Path("build/models")

# The same examples in every run, so that a failure is of the change under test. To look for new ones:
# pytest --hypothesis-profile=explore tests/unit
# An example may take as long as it does, and so may its making: the machine may have other work.
PATIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("repeatable", derandomize=True, **PATIENT)
settings.register_profile("explore", derandomize=False, max_examples=2000, print_blob=True, **PATIENT)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def default_models() -> Path:
    """The folder with the default models, exported (again) when missing or stale."""
    subprocess.run([sys.executable, "-m", "export", "--defaults"], check=True)
    return MODELS


@pytest.fixture(scope="session")
def embed_service(default_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    model = default_models / "all-minilm-l6-v2"
    with model_service.running("services.embed", model, tmp_path_factory.mktemp("embed")) as service:
        yield service


@pytest.fixture(scope="session")
def rerank_service(default_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    model = default_models / "siftline-minilm-l6-reranker"
    with model_service.running("services.rerank", model, tmp_path_factory.mktemp("rerank")) as service:
        yield service


@pytest.fixture(scope="session")
def shared_stack(default_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One stack for all tests that do no harm to it."""
    with stack.running(tmp_path_factory.mktemp("stack")) as running:
        yield running
