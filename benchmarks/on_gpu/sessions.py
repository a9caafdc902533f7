"""ONNX Runtime alone: our graph as the runner computes it, and the same model with attention's other operators."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from benchmarks.on_gpu.subject import BATCH_TOKENS, Computer, Pass, Subject, Unable, Vectors
from export import engine
from export.triton_repository import as_triton_gives_it
from serving.batching import Batch, Layout, PaddedLayout, Rows
from serving.batching.rows import take

Compute = Callable[[Batch], Vectors]


def bare(subject: Subject, *, graphs: bool = True) -> Compute:
    """As the service's runner has it: one copy in, one copy out, CUDA graphs."""
    version = subject.version(subject.served)
    if not subject.on_gpu:
        session, _ = engine.runner().open_session(version / "model.onnx", "fp32", 0)
        return lambda batch: session.run(["vectors"], batch.arrays)[0]
    runner, config = engine.runner("gpu_session"), as_triton_gives_it(version.parent)
    parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
    session, _ = runner.open_on_gpu(version / "model.onnx", 0, parameters, runner.dims_of(config))
    session.graphs = graphs and session.graphs
    return lambda batch: session.run(["vectors"], batch.arrays)[0]


def padded_fused(subject: Subject) -> Computer:
    """Padded, its attention one operator."""
    return _of_file(subject, _fused(subject, separate=False))


def packed_attention(subject: Subject) -> Computer:
    """ONNX Runtime's own conversion: padding removed after the embeddings and put back at the end."""
    return _converted(subject, separate=False)


def packed_multi_head(subject: Subject) -> Computer:
    """The same with query, key and value apart, which is what flash attention is behind."""
    return _converted(subject, separate=True)


def by_batches(layout: Layout, compute: Compute) -> Computer:
    def computer(rows: Rows) -> Pass:
        batches, back = batches_of(layout, rows)
        return lambda: np.concatenate([compute(batch) for batch in batches])[back]

    return computer


def batches_of(layout: Layout, rows: Rows) -> tuple[list[Batch], NDArray[np.int64]]:
    """As many rows as fill the budget: as they come, or, where they are padded, those of like length together.

    And the places of the rows among the answers.
    """
    order = np.arange(len(rows)) if layout.mixes_lengths else np.argsort(-rows.lengths)
    full = np.cumsum(rows.lengths[order]) // BATCH_TOKENS
    parts = np.split(order, np.flatnonzero(np.diff(full)) + 1)
    return [layout.batch([take(rows, part)]) for part in parts], np.argsort(order)


def _converted(subject: Subject, *, separate: bool) -> Computer:
    if not subject.on_gpu:
        raise Unable("ONNX Runtime has its operator for CUDA only")
    sys.path.append(str(Path(onnxruntime.__file__).parent / "transformers"))  # modules that import each other by name
    conversion, models = (importlib.import_module(name) for name in ("convert_to_packing_mode", "onnx_model"))
    file = _fused(subject, separate=separate)
    packing = conversion.PackingMode(models.OnnxModel(onnx.load(str(file))))
    packing.convert(use_symbolic_shape_infer=False)
    packing.model.topological_sort()
    packing.model.save_model_to_file(str(file))
    return _of_file(subject, file)


def _fused(subject: Subject, *, separate: bool) -> Path:
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    options = FusionOptions("bert")
    options.use_multi_head_attention = separate
    shape, graph = subject.shape, subject.version(subject.padded) / "model.onnx"
    model = optimizer.optimize_model(
        str(graph), "bert", shape.heads, shape.hidden, optimization_options=options, opt_level=0, use_gpu=subject.on_gpu
    )
    if subject.on_gpu:
        model.convert_float_to_float16(keep_io_types=True)
    file = subject.folder / f"fused-{separate}.onnx"
    model.save_model_to_file(str(file))
    return file


def _of_file(subject: Subject, file: Path) -> Computer:
    layout = PaddedLayout(subject.padded.inputs, subject.padded.pad_token_id, subject.padded.position_offset)
    session = _open(subject, file)
    names = {value.name for value in session.get_inputs()}

    def compute(batch: Batch) -> Vectors:
        feed = {name: array for name, array in batch.arrays.items() if name in names}
        vectors: Vectors = session.run(["vectors"], feed)[0]
        return vectors

    return by_batches(layout, compute)


def _open(subject: Subject, file: Path) -> Any:
    if not subject.on_gpu:
        return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    gpu_session = engine.runner("gpu_session")
    return gpu_session.new_session(file, [("CUDAExecutionProvider", {"device_id": "0"})])
