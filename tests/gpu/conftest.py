"""What needs a GPU skips without one, and says what is missing. On the CPU the same tests run with a graph for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from benchmarks.gpu import missing
from export import engine, packed_reference, sample
from export.exporter import export
from export.graph_writer import Wish
from export.triton_repository import as_triton_gives_it
from serving.batching import Batch, Rows
from serving.batching.rows import take
from serving.layouts import layout_of
from serving.served_model import TOKENIZER_FILE, ServedModel
from tests.conformance.spelled_out import spell_out
from tests.fakes import models


@pytest.fixture(scope="session")
def gpu() -> None:
    if lacking := missing():
        pytest.skip(f"missing here: {'; '.join(lacking)}")


@dataclass(frozen=True)
class PackedModel:
    """A tiny one, exported; `graph` is for the device at hand, `original` what it must equal."""

    record: ServedModel
    folder: Path
    original: Path
    rows: Rows

    @property
    def graph(self) -> Path:
        return self.folder / "1" / "model.onnx"

    def batch(self, *rows: int) -> Batch:
        return layout_of(self.record).batch([take(self.rows, np.array(rows))])

    def expected(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        return packed_reference.run(self.original, batch.arrays)

    def open(self, device: str) -> Any:
        """A session as the runner has it on a GPU."""
        runner, config = engine.runner("gpu_session"), as_triton_gives_it(self.folder)
        dims = runner.dims_of(config)
        if device == "cuda":
            parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
            return runner.open_on_gpu(self.graph, 0, parameters, dims)[0]
        session = onnxruntime.InferenceSession(self.graph, quiet(), providers=["CPUExecutionProvider"])
        return runner.DeviceSession(session, dims, graphs=True)


def quiet() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return options


@pytest.fixture(scope="session", params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda":
        request.getfixturevalue("gpu")
    return str(request.param)


@pytest.fixture(scope="session")
def packed(device: str, tmp_path_factory: pytest.TempPathFactory) -> PackedModel:
    scratch = tmp_path_factory.mktemp("packed")
    record = export(models.make_embedder(scratch / "source"), scratch, name="tiny", wish=Wish("packed", "fp32"))
    rows = sample.rows(Tokenizer.from_file(str(scratch / "tiny" / TOKENIZER_FILE)), record)
    folder = scratch / "tiny" / "repository" / "tiny"
    graph = folder / "1" / "model.onnx"
    original = scratch / "original.onnx"
    original.write_bytes(graph.read_bytes())
    if device == "cpu":
        spell_out(graph)
    return PackedModel(record, folder, original, rows)
