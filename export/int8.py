"""An int8 twin of an exported embedder, written only if it finds nearly all that the original finds."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from export import int8_graph, onnx_file, quality_gate, sample, triton_repository
from export.errors import ExportError
from export.exporter import checked_name, replacing, sealed
from export.graph_writer import Report
from serving import served_model
from serving.served_model import TOKENIZER_FILE, ServedModel


def export_int8(exported: Path, gate: Sequence[Path], report: Report = lambda line: None) -> ServedModel:
    """Writes NAME-int8 beside the exported embedder in the folder `exported`; `gate` are judged sets (BEIR layout).

    Raises ExportError, writing nothing, for a reranker, for fewer than two sets, and when too much is lost.
    """
    original = served_model.load(exported)
    if original.task != "embed" or original.layout != "padded":
        raise ExportError(f"{original.name}: int8 is offered for embedders in the padded layout only")
    if len(gate) < 2:
        raise ExportError("--gate: two judged sets or more decide whether int8 is good enough")
    record = original.model_copy(update={"name": checked_name(f"{original.name}-int8"), "quantization": "int8"})
    with replacing(exported.parent / record.name) as folder:
        shutil.copytree(exported / "repository" / original.name, folder / "repository" / record.name)
        shutil.copy(exported / TOKENIZER_FILE, folder)
        triton_repository.rename(folder / "repository" / record.name, record.name)
        source, target = _graph(exported, original), _graph(folder, record)
        texts = quality_gate.Texts(original, Tokenizer.from_file(str(exported / TOKENIZER_FILE)))
        report(f"{record.name}: measuring activations")
        int8_graph.quantize(source, target, texts.batches(sample.texts(), int8_graph.CALIBRATION_BATCH))
        for judged in quality_gate.judge(texts, source, target, gate):
            report(f"{record.name}: {judged}")
        return sealed(record, folder)


def _graph(folder: Path, model: ServedModel) -> Path:
    return triton_repository.version_folder(folder / "repository", model.name) / onnx_file.GRAPH
