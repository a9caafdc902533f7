"""A Triton model repository of one model, its configuration rendered through Triton's own protobuf."""

import shutil
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from serving.served_model import TOKEN_VECTORS

RUNNER = Path(__file__).parent.parent / "serving" / "runner" / "model.py"
VERSION = "1"


def version_folder(repository: Path, name: str) -> Path:
    """Where the graph belongs; created when absent."""
    folder = repository / name / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def finish(
    repository: Path, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...], parameters: dict[str, str]
) -> None:
    """Puts the runner beside the graph and writes config.pbtxt. `parameters` are the runner's."""
    shutil.copyfile(RUNNER, version_folder(repository, name) / "model.py")
    config = render(name, inputs, outputs, parameters)
    (repository / name / "config.pbtxt").write_text(text_format.MessageToString(config), "utf-8")


def rename(model: Path, name: str) -> None:
    """Gives the model in folder `model` (already called so) its name in config.pbtxt too."""
    file = model / "config.pbtxt"
    config = text_format.Parse(file.read_text("utf-8"), triton.ModelConfig())
    config.name = name
    file.write_text(text_format.MessageToString(config), "utf-8")


def render(
    name: str, inputs: tuple[str, ...], outputs: tuple[str, ...], parameters: dict[str, str]
) -> triton.ModelConfig:
    """max_batch_size 0: the services batch, Triton takes each request as it is."""
    config = triton.ModelConfig(name=name, backend="python", max_batch_size=0)
    for matrix in inputs:
        config.input.add(name=matrix, data_type=triton.TYPE_INT32, dims=[-1, -1])
    for output in outputs:
        dims = [-1, -1, -1] if output == TOKEN_VECTORS else [-1, -1]
        config.output.add(name=output, data_type=triton.TYPE_FP32, dims=dims)
    config.output.add(name="engine", data_type=triton.TYPE_UINT8, dims=[-1])
    config.instance_group.add(kind=triton.ModelInstanceGroup.KIND_CPU, count=1)
    for key, value in {"precision": "auto", "threads": "1", **parameters}.items():
        config.parameters[key].string_value = value
    return config
