"""A Triton model repository of one model, its configuration rendered through Triton's own protobuf."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2 as triton

from export.amx import library
from export.engine import RUNNER
from serving.runner.tensorrt_profiles import profiles, shapes
from serving.served_model import TOKEN_OUTPUTS, TOKEN_VECTORS, ServedModel

VERSION = "1"
ROWS = 512


def version_folder(repository: Path, name: str) -> Path:
    """Where the graph belongs; created when absent."""
    folder = repository / name / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def finish(repository: Path, model: ServedModel, outputs: tuple[str, ...], vocab_size: int) -> None:
    """Puts the runner beside the graph, with the library that it needs, and writes config.pbtxt."""
    for file in RUNNER.glob("*.py"):
        shutil.copyfile(file, version_folder(repository, model.name) / file.name)
    if model.engine == "amx":
        library.write(version_folder(repository, model.name))
    config = render(model, outputs, vocab_size)
    (repository / model.name / "config.pbtxt").write_text(text_format.MessageToString(config), "utf-8")


def rename(model: Path, name: str) -> None:
    """Gives the model in folder `model` (already called so) its name in config.pbtxt too."""
    config = _read(model)
    config.name = name
    (model / "config.pbtxt").write_text(text_format.MessageToString(config), "utf-8")


def as_triton_gives_it(model: Path) -> dict[str, Any]:
    """The configuration in folder `model`, as the runner gets it."""
    found: dict[str, Any] = json.loads(json_format.MessageToJson(_read(model), preserving_proto_field_name=True))
    return found


def _read(model: Path) -> triton.ModelConfig:
    return text_format.Parse((model / "config.pbtxt").read_text("utf-8"), triton.ModelConfig())


def render(model: ServedModel, outputs: tuple[str, ...], vocab_size: int) -> triton.ModelConfig:
    """max_batch_size 0: the services batch, Triton takes each request as it is."""
    config = triton.ModelConfig(name=model.name, backend=model.backend, max_batch_size=0)
    for name, dims in _shapes(model).items():
        config.input.add(name=name, data_type=triton.TYPE_INT32, dims=dims)
    for output in outputs:
        config.output.add(name=output, data_type=triton.TYPE_FP32, dims=_dims(model, output))
    # AUTO is each GPU that Triton sees, and without one the CPU, which says what is missing.
    kind = triton.ModelInstanceGroup.KIND_AUTO if model.for_gpu else triton.ModelInstanceGroup.KIND_CPU
    config.instance_group.add(kind=kind, count=1)
    fill: dict[str, Callable[[triton.ModelConfig, ServedModel], None]] = {
        "python": partial(_for_runner, vocab_size),
        "onnxruntime": _for_onnxruntime,
        "tensorrt": _for_tensorrt,
    }
    fill[model.backend](config, model)
    return config


def _for_runner(vocab_size: int, config: triton.ModelConfig, model: ServedModel) -> None:
    config.output.add(name="engine", data_type=triton.TYPE_UINT8, dims=[-1])
    facts = {
        "vocab_size": str(vocab_size),
        "max_tokens": str(model.max_tokens),
        "layout": model.layout,
        "graph_precision": model.precision,
        "engine": model.engine,
        "gpu_memory": "0.9",
    }
    for key, value in {"precision": ",".join(model.precisions), "threads": "1", **facts}.items():
        config.parameters[key].string_value = value


def _for_onnxruntime(config: triton.ModelConfig, model: ServedModel) -> None:
    """Triton's own ONNX Runtime backend. It takes one TensorRT profile only: for up to ROWS rows of any length."""
    config.default_model_filename = "model.onnx"
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    if model.for_gpu:
        accelerators.add(name="cuda", parameters={"arena_extend_strategy": "kSameAsRequested"})
    if model.engine == "tensorrt":
        keys = ("trt_profile_min_shapes", "trt_profile_opt_shapes", "trt_profile_max_shapes")
        smallest, best, _ = profiles(model.max_tokens)[-1]
        profile = smallest, best, (ROWS, model.max_tokens)
        options = dict(zip(keys, shapes(list(model.inputs), profile), strict=True))
        if model.tensorrt_precision == "fp16":
            options |= {"precision_mode": "FP16", "trt_layer_norm_fp32_fallback": "1"}
        accelerators.add(name="tensorrt", parameters=options)


def _for_tensorrt(config: triton.ModelConfig, model: ServedModel) -> None:
    """Triton's TensorRT backend: one plan with all profiles, of which each request gets the one that fits."""
    config.default_model_filename = "model.plan"
    config.instance_group[0].kind = triton.ModelInstanceGroup.KIND_GPU
    config.instance_group[0].profile.extend(str(number) for number in range(len(profiles(model.max_tokens))))


def _dims(model: ServedModel, output: str) -> list[int]:
    """Of an output; -1 where the inputs decide."""
    if output in TOKEN_OUTPUTS:
        tokens = [-1] if model.layout == "packed" else [-1, -1]
        return [*tokens, model.token_dimensions] if output == TOKEN_VECTORS else tokens
    return [-1, model.dimensions or 1]


def _shapes(model: ServedModel) -> dict[str, list[int]]:
    """Of the inputs: matrices, or, packed, all lists but for the operator's token_offset."""
    packed = model.layout == "packed"
    return {name: [-1] if packed and name != "token_offset" else [-1, -1] for name in model.inputs}
