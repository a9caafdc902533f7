"""An exported embedder's graph with int8 matrix products: static, QDQ, U8S8.

Activations are uint8 with one scale per tensor, weights int8 with one scale per column: the only pairing that reaches
the integer units of x86 in ONNX Runtime; S8S8 is fifty times slower. Products of two activations (attention) stay as
they are, and so do those that contract, a feed-forward block's second: a few of its inputs, out of GELU, are a hundred
times as large as the rest, and a scale for those leaves nothing of the others. Opt-in: what it costs in quality is for
export/quality_gate.py to say, before anything is served.

It is for CPUs without bfloat16, where it is 1.4 times as fast as fp32; where OpenVINO has bf16, bf16 is faster still.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

CALIBRATION_BATCH = 8

Feed = dict[str, NDArray[np.int32]]


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, batches: Iterator[Feed]) -> None:
        self._batches = batches

    def get_next(self) -> Feed | None:
        return next(self._batches, None)


def quantize(source: Path, target: Path, calibration: Sequence[Feed]) -> None:
    """Writes `source` (fp32 model.onnx) to `target`, its ranges taken from a run over `calibration` batches."""
    with tempfile.TemporaryDirectory() as scratch:
        shaped = Path(scratch) / "shaped.onnx"
        quant_pre_process(str(source), str(shaped), skip_symbolic_shape=True)
        quantize_static(
            str(shaped),
            str(target),
            _Batches(iter(calibration)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_kept(shaped),
        )


def _kept(graph: Path) -> list[str]:
    """Names of the products without a weight, and of those whose weight has more rows than columns."""
    model = onnx.load(str(graph)).graph
    shapes = {weight.name: tuple(weight.dims) for weight in model.initializer}
    products = {node.name: shapes.get(node.input[1]) for node in model.node if node.op_type == "MatMul"}
    return [name for name, shape in products.items() if shape is None or shape[0] > shape[-1]]
