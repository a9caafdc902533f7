"""The int8 twin of an embedder: written when it passes the gate, and only then."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from export import catalogue, quality_gate
from export.errors import ExportError
from export.exporter import export
from export.int8 import export_int8
from serving import served_model

PAIRS = {
    "Where do penguins live?": "Penguins live on the southern coasts and on the ice of Antarctica.",
    "How is bread made?": "Bread is baked from a dough of flour, water and yeast.",
    "What does a compiler do?": "A compiler translates a program into the instructions of a machine.",
    "Why is the sky blue?": "Air scatters the short waves of sunlight, which are blue, more than the long ones.",
}


@pytest.fixture
def sets(tmp_path: Path) -> list[Path]:
    """Two judged sets of four questions."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        (folder / "qrels").mkdir(parents=True)
        documents = [{"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(PAIRS.values())]
        queries = [{"_id": f"q{i}", "text": text} for i, text in enumerate(PAIRS)]
        for name, records in (("corpus", documents), ("queries", queries)):
            (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n")
        judged = "\n".join(f"q{i}\td{i}\t1" for i in range(len(PAIRS)))
        (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}\n")
    return folders


@pytest.fixture(name="padded", scope="module")
def _padded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default embedder in the layout that has a twin."""
    entry = catalogue.entries()["all-minilm-l6-v2"]
    out = tmp_path_factory.mktemp("padded")
    return out / export(entry.source.find(), out, entry).name


@pytest.fixture
def exported(padded: Path, tmp_path: Path) -> Path:
    """A link to it in a folder of its own, so that its twin is written there."""
    home = tmp_path / "models"
    home.mkdir()
    (home / padded.name).symlink_to(padded)
    return home / padded.name


def test_a_twin_that_finds_as_much_is_written_under_its_own_name(exported: Path, sets: list[Path]) -> None:
    lines: list[str] = []
    twin = export_int8(exported, sets, lines.append)
    written = exported.parent / "all-minilm-l6-v2-int8"
    assert served_model.load(written) == twin
    assert twin.quantization == "int8"
    assert twin.fingerprint("fp32") != served_model.load(exported).fingerprint("fp32")
    assert sum("nDCG@10" in line for line in lines) == 2
    graph = written / "repository" / twin.name / "1" / "model.onnx"
    assert graph.stat().st_size < 0.8 * (exported / "repository/all-minilm-l6-v2/1/model.onnx").stat().st_size
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    ones = np.ones((2, 5), np.int32)
    assert session.run(None, {name: ones for name in twin.inputs})[0].shape == (2, twin.dimensions)


def test_a_twin_that_finds_less_is_not_written(
    exported: Path, sets: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_gate, "MOST_LOST", -0.5)
    with pytest.raises(ExportError, match=r"int8 loses more than .* one: nDCG@10"):
        export_int8(exported, sets)
    assert [path.name for path in exported.parent.iterdir()] == ["all-minilm-l6-v2"]


def test_one_set_is_not_enough(exported: Path, sets: list[Path]) -> None:
    with pytest.raises(ExportError, match="--gate: two judged sets"):
        export_int8(exported, sets[:1])


def test_attention_and_contracting_products_stay_as_they_are(exported: Path, sets: list[Path]) -> None:
    twin = export_int8(exported, sets)
    nodes = onnx.load(exported.parent / twin.name / "repository" / twin.name / "1" / "model.onnx").graph.node
    dequantised = {output for node in nodes if node.op_type == "DequantizeLinear" for output in node.output}
    products = {node.name: node for node in nodes if node.op_type == "MatMul"}
    quantised = {name.rpartition("layer.")[2] for name, node in products.items() if dequantised & set(node.input)}
    parts = [f"attention/self/{part}" for part in ("query", "key", "value")] + [
        "attention/output/dense",
        "intermediate/dense",
    ]
    assert quantised == {f"{layer}/{part}/MatMul" for layer in range(6) for part in parts}
