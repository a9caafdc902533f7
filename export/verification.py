"""The exported graph against the torch original, on real text, before anything is kept.

The original sees one row at a time without padding and without explicit positions, as its authors call it; the graph
sees all rows at once, padded or packed. A graph that loses the mask, the positions or the segments fails.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from export import packed_reference, sample
from export.errors import ExportError
from export.graph import Graph
from serving.batching import PaddedLayout, Rows
from serving.batching.rows import take
from serving.layouts import layout_of
from serving.served_model import TOKEN_OUTPUTS, TOKEN_VECTORS, TOKEN_WEIGHTS, Precision, ServedModel

# Two fp32 implementations differ by 1e-6; the mildest mistake (a tanh in gelu) by 1e-4 (conformance kit, measured).
TOLERANCE: dict[str, dict[Precision, float]] = {
    "vectors": {"fp32": 1e-5, "fp16": 1e-3},
    TOKEN_VECTORS: {"fp32": 1e-5, "fp16": 1e-3},
    TOKEN_WEIGHTS: {"fp32": 1e-5, "fp16": 3e-3},
    "logits": {"fp32": 5e-5, "fp16": 3e-2},
}


class Differs(ExportError):
    """The graph's numbers are not those of the original."""


@dataclass(frozen=True)
class Verified:
    """How far the graph is from the original, over `rows` rows of which the longest has `longest` tokens."""

    difference: float
    tolerance: float
    rows: int
    longest: int

    def __str__(self) -> str:
        return (
            f"equals the torch original to {self.difference:.1e} (allowed {self.tolerance:.0e}) "
            f"on {self.rows} texts of up to {self.longest} tokens"
        )


def verify(graph: Graph, path: Path, model: ServedModel, tokenizer: Tokenizer) -> Verified:
    """Differs, which says by how much, when the graph in `path` is not its torch original."""
    # Threads that wait for each other busily are slow beside anything else: on a loaded machine, three times as slow.
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // 2))
    rows = sample.rows(tokenizer, model)
    expected = _originals(graph, rows)
    if not all(np.isfinite(values).all() for values in expected.values()):
        raise ExportError(f"{model.name}: its weights give no numbers (NaN): download the model again")
    computed = compute(path, rows, model)
    differences = {name: difference_of(name, computed[name], expected[name]) for name in graph.outputs}
    allowed = {name: TOLERANCE[name][model.precision] for name in graph.outputs}
    worst = max(graph.outputs, key=lambda name: np.nan_to_num(differences[name], nan=np.inf) / allowed[name])
    difference, tolerance = differences[worst], allowed[worst]
    if not difference <= tolerance:
        what = worst.replace("_", " ")
        raise Differs(
            f"{model.name}: the exported graph's {what} differ from the torch original's by {difference:.2g}, "
            f"allowed is {tolerance:.0e}; nothing was written"
        )
    return Verified(difference, tolerance, len(rows), int(rows.lengths.max()))


def difference_of(output: str, computed: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Largest difference; relative to the vectors' length (or to a large number's size) where that is above 1."""
    if computed.shape != expected.shape or not np.isfinite(computed).all() or not np.isfinite(expected).all():
        return float("nan")
    scale = np.linalg.norm(expected, axis=1, keepdims=True) if "vectors" in output else np.abs(expected)
    return float((np.abs(computed - expected) / np.maximum(scale, 1.0)).max())


def _originals(graph: Graph, rows: Rows) -> dict[str, NDArray[np.float32]]:
    """Every output of the original: [n, ...], and for outputs per token [T, ...], row after row."""
    outputs = [_original(graph, rows, index) for index in range(len(rows))]
    columns = zip(graph.outputs, zip(*outputs, strict=True), strict=True)
    return {name: np.concatenate([c[0] if name in TOKEN_OUTPUTS else c for c in column]) for name, column in columns}


def _original(graph: Graph, rows: Rows, index: int) -> list[NDArray[np.float32]]:
    unpadded = PaddedLayout(graph.inputs, 0).batch([take(rows, np.array([index]))])
    with torch.no_grad():
        row = {name: torch.from_numpy(array.copy()).long() for name, array in unpadded.arrays.items()}
        return [output.numpy() for output in graph.reference(row)]


def compute(path: Path, rows: Rows, model: ServedModel) -> dict[str, NDArray[np.float32]]:
    """Every output of the graph in `path` for all rows in one batch, in the model's layout; per token [T, ...]."""
    layout = layout_of(model)
    arrays = layout.batch([rows]).arrays
    found = packed_reference.run(path, arrays) if model.layout == "packed" else _onnxruntime(path, arrays)
    return {
        name: layout.unpack(value, rows.lengths) if name in TOKEN_OUTPUTS else value for name, value in found.items()
    }


def _onnxruntime(path: Path, arrays: dict[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, arrays), strict=True))
