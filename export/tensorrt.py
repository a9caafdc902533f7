"""TensorRT engines, built ahead of time where there are a GPU and TensorRT."""

from pathlib import Path

import onnxruntime

from export import engine
from export.triton_repository import as_triton_gives_it


def build(model: Path) -> str:
    """Builds the engines of the repository's folder `model`, which takes minutes; says what came of it."""
    version = model / "1"
    runner = engine.runner("gpu_session")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        lacking = "this ONNX Runtime is built without CUDA"
    else:
        lacking = runner.lacks_tensorrt()
    if lacking:
        return (
            f"no TensorRT engines were built, because {lacking}; "
            "they are built at first start where TensorRT is, and CUDA computes where it is not"
        )
    config = as_triton_gives_it(model)
    parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
    runner.open_on_gpu(version / "model.onnx", 0, parameters, runner.dims_of(config))
    return f"{len(list((version / 'tensorrt').glob('*.engine')))} TensorRT engines, for GPUs like the one here"
