"""An export tries what its CPU computes in, takes the fastest type that keeps numbers and order, and says why not."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from tokenizers import Tokenizer

from export import engine, precisions
from export.errors import ExportError
from export.exporter import export
from serving.served_model import TOKENIZER_FILE, EnginePrecision, ServedModel
from tests.fakes import models

HERE = [precision for precision in precisions.REDUCED if engine.runner().computes_in(precision)]
pytestmark = pytest.mark.skipif("bf16" not in HERE, reason="a CPU without bf16 tries nothing")


class Exported(NamedTuple):
    graph: Path
    model: ServedModel
    tokenizer: Tokenizer

    def decide(self, asked: EnginePrecision | None = None, *, accept: bool = False) -> ServedModel:
        return precisions.decide(self.graph, self.model, self.tokenizer, asked, accept)


@pytest.fixture(name="exported", scope="module")
def _exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    out = tmp_path_factory.mktemp("out")
    model = export(models.make_embedder(tmp_path_factory.mktemp("source") / "tiny"), out)
    graph = out / "tiny" / "repository" / "tiny" / "1" / "model.onnx"
    return Exported(graph, model, Tokenizer.from_file(str(out / "tiny" / TOKENIZER_FILE)))


@pytest.fixture(name="bound")
def _bound(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference that both types may make."""
    monkeypatch.setitem(precisions.BOUNDS, "vectors", dict.fromkeys(precisions.REDUCED, request.param))


@pytest.mark.parametrize("bound", [0.1], indirect=True)
@pytest.mark.usefixtures("bound")
def test_the_fastest_that_keeps_the_bounds(exported: Exported) -> None:
    found = exported.decide()
    assert (found.precisions[0], found.refused.keys() & HERE) == ("bf16", set())
    assert precisions.explain(found) == "to be computed in bf16"
    assert exported.decide("fp32").precisions[0] == "fp32"


@pytest.mark.parametrize("bound", [1e-9], indirect=True)
@pytest.mark.usefixtures("bound")
def test_what_misses_them_is_refused_and_said(exported: Exported) -> None:
    found = exported.decide()
    assert (found.precisions, found.refused.keys()) == (("fp32",), {"bf16", "fp16"})
    assert precisions.explain(found).startswith(
        f"to be computed in fp32; bf16 is not exact enough: {found.refused['bf16']}"
    )
    assert "(at most 8e-10), Spearman " in found.refused["bf16"]
    with pytest.raises(ExportError, match=r"tiny: bf16 is not exact enough: vectors off by .*add --accept"):
        exported.decide("bf16")
    accepted = exported.decide("bf16", accept=True)
    assert (accepted.precisions, accepted.refused.keys()) == (("bf16", "fp32"), {"fp16"})
    assert accepted.fingerprint("bf16") == found.fingerprint("bf16")


def test_an_order_that_is_lost_is_a_miss() -> None:
    """However small the differences are."""
    logits = np.arange(64, dtype=np.float32)[:, None] / 1000
    neighbours = logits.reshape(-1, 2)[:, ::-1].reshape(-1, 1)
    assert precisions._compare("logits", logits, logits, 0.3)[0] < 1e-9
    share, figures = precisions._compare("logits", neighbours, logits, 0.3)
    assert share > 1.0
    assert figures == "logits off by 0.001 (at most 0.18), Spearman 0.99853 (at least 0.99950)"
