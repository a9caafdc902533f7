"""What a sentence-transformers folder does with the hidden states: its modules.json and the files that it names."""

from dataclasses import dataclass
from typing import Any

from export.errors import ExportError
from export.source import MODULES, Source

# Order in which sentence-transformers concatenates several modes.
_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
POOLING_MODES = tuple(_POOLING_FLAGS.values())


@dataclass(frozen=True)
class DenseLayer:
    """A linear layer after pooling; `folder` holds its weights."""

    folder: str
    inputs: int
    outputs: int
    bias: bool
    activation: str


@dataclass(frozen=True)
class Head:
    """From hidden states [B, L, H] to vectors [B, D]."""

    transformer: str  # subfolder with config.json and the weights, "" for the folder itself
    pooling: tuple[str, ...]
    dense: tuple[DenseLayer, ...]
    normalized: bool

    def dimensions(self, hidden: int) -> int:
        return self.dense[-1].outputs if self.dense else hidden * len(self.pooling)


def read(source: Source) -> Head:
    """The head that modules.json describes; ExportError for a module that is unknown here or contradicts another."""
    transformer, normalized = "", False
    pooling: tuple[str, ...] = ()
    dense: list[DenseLayer] = []
    for module in source.json(MODULES):
        kind, path = str(module["type"]).rsplit(".", 1)[-1], str(module["path"])
        if kind == "Transformer":
            transformer = path
        elif kind == "Pooling":
            pooling = _pooling(source, path)
        elif kind == "Dense":
            dense.append(_dense(source, path))
        elif kind == "Normalize":
            normalized = True
        else:
            raise ExportError(
                f"{source.label}: {MODULES} has a module {kind}; known are Transformer, Pooling, Dense, Normalize"
            )
    if not pooling:
        raise ExportError(f"{source.label}: {MODULES} has no Pooling module")
    return Head(transformer, pooling, tuple(dense), normalized)


def check_dimensions(source: Source, head: Head, hidden: int) -> None:
    """ExportError when a config claims a width that the model does not have."""
    width = hidden
    for module in source.json(MODULES):
        if str(module["type"]).endswith(".Pooling"):
            claimed = int(source.json(f"{module['path']}/config.json").get("word_embedding_dimension", hidden))
            if claimed != hidden:
                raise _lie(source, f"{module['path']}/config.json", "word_embedding_dimension", claimed, hidden)
    width *= len(head.pooling)
    for layer in head.dense:
        if layer.inputs != width:
            raise _lie(source, f"{layer.folder}/config.json", "in_features", layer.inputs, width)
        width = layer.outputs


def _lie(source: Source, file: str, field: str, claimed: int, real: int) -> ExportError:
    return ExportError(f"{source.label}: {file} says {field} {claimed}, but the layer in front of it gives {real}")


def _pooling(source: Source, path: str) -> tuple[str, ...]:
    config = source.json(f"{path}/config.json")
    # sentence-transformers 5 may name the mode instead of setting flags.
    if isinstance(config.get("pooling_mode"), str):
        modes: tuple[str, ...] = (config["pooling_mode"],)
    else:
        modes = tuple(mode for flag, mode in _POOLING_FLAGS.items() if config.get(flag))
    if not modes or any(mode not in POOLING_MODES for mode in modes):
        found = ", ".join(modes) or "no mode"
        raise ExportError(f"{source.label}: {path}/config.json asks for {found}; known are {', '.join(POOLING_MODES)}")
    return modes


def _dense(source: Source, path: str) -> DenseLayer:
    config: dict[str, Any] = source.json(f"{path}/config.json")
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rsplit(".", 1)[-1]
    return DenseLayer(
        path, int(config["in_features"]), int(config["out_features"]), bool(config.get("bias", True)), activation
    )
