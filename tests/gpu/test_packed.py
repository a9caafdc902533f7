"""ONNX Runtime's CUDA kernels give what onnx.reference gives for the same packed graph."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from export import engine, packed_reference, sample, verification
from export.exporter import export
from export.graph_writer import Wish
from export.triton_repository import as_triton_gives_it
from serving.layouts import layout_of
from serving.served_model import TOKENIZER_FILE, Precision
from tests.fakes import models


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("make", [models.make_embedder, models.make_reranker])
def test_kernels(make: models.Make, precision: Precision, tmp_path: Path) -> None:
    model = export(make(tmp_path / "tiny"), tmp_path / "out", name="tiny", wish=Wish("packed", precision))
    version = tmp_path / "out" / "tiny" / "repository" / "tiny" / "1"
    rows = sample.rows(Tokenizer.from_file(str(tmp_path / "out" / "tiny" / TOKENIZER_FILE)), model)
    arrays = layout_of(model).batch([rows]).arrays
    runner, config = engine.runner("gpu_session"), as_triton_gives_it(version.parent)
    parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
    session, facts = runner.open_on_gpu(version / "model.onnx", 0, parameters, runner.dims_of(config))
    assert facts == {"engine": "onnxruntime+cuda", "precision": precision, "threads": 0}
    for name, expected in packed_reference.run(version / "model.onnx", arrays).items():
        found = session.run([name], arrays)[0]
        assert np.abs(found - expected).max() <= verification.TOLERANCE[name][precision]
