"""A Triton model repository of one model, its configuration rendered through Triton's own protobuf."""

import shutil
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from serving.served_model import TOKEN_OUTPUTS, TOKEN_VECTORS, ServedModel

RUNNER = Path(__file__).parent.parent / "serving" / "runner" / "model.py"
VERSION = "1"
# Where the instances run: AUTO is each GPU that Triton sees, and without one the CPU, which says what is missing.
_KINDS = {"padded": triton.ModelInstanceGroup.KIND_CPU, "packed": triton.ModelInstanceGroup.KIND_AUTO}


def version_folder(repository: Path, name: str) -> Path:
    """Where the graph belongs; created when absent."""
    folder = repository / name / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def finish(repository: Path, model: ServedModel, outputs: tuple[str, ...], vocab_size: int) -> None:
    """Puts the runner beside the graph and writes config.pbtxt."""
    shutil.copyfile(RUNNER, version_folder(repository, model.name) / "model.py")
    config = render(model, outputs, vocab_size)
    (repository / model.name / "config.pbtxt").write_text(text_format.MessageToString(config), "utf-8")


def rename(model: Path, name: str) -> None:
    """Gives the model in folder `model` (already called so) its name in config.pbtxt too."""
    file = model / "config.pbtxt"
    config = text_format.Parse(file.read_text("utf-8"), triton.ModelConfig())
    config.name = name
    file.write_text(text_format.MessageToString(config), "utf-8")


def render(model: ServedModel, outputs: tuple[str, ...], vocab_size: int) -> triton.ModelConfig:
    """max_batch_size 0: the services batch, Triton takes each request as it is."""
    config = triton.ModelConfig(name=model.name, backend="python", max_batch_size=0)
    for name, dims in _shapes(model).items():
        config.input.add(name=name, data_type=triton.TYPE_INT32, dims=dims)
    for output in outputs:
        dims = [-1, -1, -1] if output == TOKEN_VECTORS else [-1, -1]
        if model.layout == "packed" and output in TOKEN_OUTPUTS:
            dims = dims[1:]
        config.output.add(name=output, data_type=triton.TYPE_FP32, dims=dims)
    config.output.add(name="engine", data_type=triton.TYPE_UINT8, dims=[-1])
    config.instance_group.add(kind=_KINDS[model.layout], count=1)
    facts = {
        "vocab_size": str(vocab_size),
        "max_tokens": str(model.max_tokens),
        "layout": model.layout,
        "graph_precision": model.precision,
    }
    for key, value in {"precision": ",".join(model.precisions), "threads": "1", **facts}.items():
        config.parameters[key].string_value = value
    return config


def _shapes(model: ServedModel) -> dict[str, list[int]]:
    """Of the inputs: matrices, or, packed, all lists but for the operator's token_offset."""
    packed = model.layout == "packed"
    return {name: [-1] if packed and name != "token_offset" else [-1, -1] for name in model.inputs}
