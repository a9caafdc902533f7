"""Dense layers of sentence-transformers models: architecture from their config, weights from their folder."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from export.errors import ExportError
from export.modules import DenseLayer
from export.source import Source

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "Identity": nn.Identity,
    "Tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
    "Sigmoid": nn.Sigmoid,
}


def dense_layers(source: Source, layers: tuple[DenseLayer, ...]) -> nn.Sequential:
    """The layers in order; ExportError for weights that do not fit or an activation that is unknown here."""
    modules: list[nn.Module] = []
    for layer in layers:
        if layer.activation not in _ACTIVATIONS:
            known = ", ".join(_ACTIVATIONS)
            raise ExportError(
                f"{source.label}: {layer.folder} has the activation {layer.activation}; known are {known}"
            )
        modules += [_linear(source, layer), _ACTIVATIONS[layer.activation]()]
    return nn.Sequential(*modules).eval().requires_grad_(False)


def _linear(source: Source, layer: DenseLayer) -> nn.Linear:
    state = {name.removeprefix("linear."): tensor.float() for name, tensor in _weights(source, layer.folder).items()}
    linear = nn.Linear(layer.inputs, layer.outputs, bias=layer.bias)
    try:
        linear.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ExportError(f"{source.label}: the weights of {layer.folder} do not fit its config: {reason}") from error
    return linear


def _weights(source: Source, folder: str) -> dict[str, torch.Tensor]:
    safe, pickled = source.folder / folder / "model.safetensors", source.folder / folder / "pytorch_model.bin"
    try:
        return load_file(safe) if safe.is_file() else _unpickle(pickled)
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise ExportError(f"{source.label}: the weights in {folder} do not load: {error}") from error


def _unpickle(path: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
