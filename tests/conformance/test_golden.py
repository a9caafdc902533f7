"""Real weights: what a model's own library, or its card, says of a few texts, through a service in fp32.

One JSON a model (docs/adding-a-model.md). Only models that are exported here are tested; the default ones always are,
as they are exported for any CPU: for AMX they would be in bf16 alone.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import siftline
from benchmarks.peers.padded_folder import padded_folder
from tests.running import model_service

GOLDEN = {path.stem: path for path in (Path(__file__).parent / "golden").glob("*.json")}
EXPORTED = Path("build/models")
ALWAYS = {"all-minilm-l6-v2", "siftline-minilm-l6-reranker"}
MATES = [f"another text {'with more words ' * (i % 12)}" for i in range(63)]
ALONE = 1e-6  # of a unit vector
ALONE_LOGIT = 5e-5


def exported(name: str) -> Path:
    return padded_folder(name) if name in ALWAYS else EXPORTED / name


@pytest.mark.parametrize("name", sorted(name for name in GOLDEN if name in ALWAYS or (EXPORTED / name).is_dir()))
def test_golden(name: str, tmp_path: Path) -> None:
    golden: dict[str, Any] = json.loads(GOLDEN[name].read_text("utf-8"))
    task = "embed" if "vectors" in golden else "rerank"
    flags = ("--precision=fp32", "--batch-tokens=1024")
    with (
        model_service.running(f"services.{task}", exported(name), tmp_path, *flags) as service,
        siftline.Client(service.address) as client,
    ):
        if task == "embed":
            _check_vectors(client, golden)
        else:
            _check_logits(client, golden)


def _check_vectors(client: siftline.Client, golden: dict[str, Any]) -> None:
    assert client.embed_model().precision == "fp32"
    expected, texts = np.array(golden["vectors"], np.float32), golden["texts"]
    found = client.embed(texts)
    assert np.abs(found[:, : expected.shape[1]] - expected).max() <= golden["tolerance"]
    among = client.embed([texts[0], *MATES])[0]
    assert np.abs(client.embed(texts[:1])[0] - among).max() <= ALONE


def _check_logits(client: siftline.Client, golden: dict[str, Any]) -> None:
    assert client.rerank_model().precision == "fp32"
    query, passages = golden["query"], golden["passages"]
    found = [each.logit for each in client.rerank(query, passages, keep_order=True)]
    assert np.abs(np.array(found) - golden["logits"]).max() <= golden["tolerance"]
    among = client.rerank(query, [passages[0], *MATES], keep_order=True)[0].logit
    assert abs(client.rerank(query, passages[:1])[0].logit - among) <= ALONE_LOGIT
