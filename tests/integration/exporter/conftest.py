from pathlib import Path

import pytest

from tests.fakes import models


@pytest.fixture(name="embedder")
def _embedder(tmp_path: Path) -> Path:
    return models.make_embedder(tmp_path / "tiny-embedder")


@pytest.fixture(name="reranker")
def _reranker(tmp_path: Path) -> Path:
    return models.make_reranker(tmp_path / "tiny-reranker")
