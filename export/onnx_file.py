"""torch module to ONNX file.

The TorchScript exporter at opset 17 with eager attention: graphs of the dynamo exporter keep their attention from being
recognised by the engines. No fusion of our own: OpenVINO and ONNX Runtime fuse the plain graph themselves, and OpenVINO
ran onnxruntime.transformers' fused graph of MiniLM 10 to 20 % slower.
"""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from export.example import Example
from export.graph import MASKED, Graph
from export.packed_graph import PackedGraph

OPSET = 17
GRAPH = "model.onnx"
# protobuf stops at 2 GiB; above this the weights go to a file beside the graph.
_LARGEST_IN_ONE_FILE = 1_900_000_000


def write(graph: Graph | PackedGraph, folder: Path, example: Example) -> Path:
    """Writes model.onnx (with model.onnx.data beside it when large) into `folder`."""
    path = folder / GRAPH
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            example.tensors,
            str(path),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=example.axes,
            opset_version=OPSET,
            custom_opsets=example.domains or None,
            dynamo=False,
        )
    _finish(path)
    return path


def _finish(path: Path) -> None:
    """Mends mask constants; gathers what the exporter scattered over one file per weight when the model is large."""
    model = onnx.load(str(path))
    strays = [p for p in path.parent.iterdir() if p != path]
    _soften_masks(model.graph)
    for stray in strays:
        stray.unlink()
    large = sum(len(tensor.raw_data) for tensor in model.graph.initializer) > _LARGEST_IN_ONE_FILE
    onnx.save_model(model, str(path), save_as_external_data=large, location=f"{GRAPH}.data")


def _soften_masks(graph: onnx.GraphProto) -> None:
    """Replaces the lowest fp32 number by MASKED: in bf16 and fp16 it is minus infinity, and rows become NaN."""
    for tensor in graph.initializer:
        _soften(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _soften(attribute.t)
            if attribute.HasField("g"):
                _soften_masks(attribute.g)


def _soften(tensor: onnx.TensorProto) -> None:
    if tensor.data_type != onnx.TensorProto.FLOAT:
        return
    values = numpy_helper.to_array(tensor)
    if values.size and values.min() < -1e30:
        tensor.CopyFrom(numpy_helper.from_array(np.maximum(values, np.float32(MASKED)), tensor.name))
