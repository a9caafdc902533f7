"""What BGE-M3 makes of each token's hidden state: a weight (sparse_linear.pt) and a vector (colbert_linear.pt)."""

import torch
from torch import Tensor, nn

from export.errors import ExportError
from export.source import Source
from serving.served_model import TOKEN_VECTORS, TOKEN_WEIGHTS

_FILES = {TOKEN_WEIGHTS: "sparse_linear.pt", TOKEN_VECTORS: "colbert_linear.pt"}


class TokenHeads(nn.Module):
    """Linear layers by the name of their output; none for a model that makes nothing of its tokens."""

    def __init__(self, layers: dict[str, nn.Linear]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.outputs = tuple(layers)
        # Of a token's vector; 0 for a model without.
        self.dimensions = layers[TOKEN_VECTORS].out_features if TOKEN_VECTORS in layers else 0

    def forward(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """[B, L, H] to weights [B, L], not negative, and vectors [B, L, D] of length 1."""
        return tuple(_activate(name, layer(hidden)) for name, layer in self.layers.items())


def _activate(name: str, values: Tensor) -> Tensor:
    return torch.relu(values).squeeze(-1) if name == TOKEN_WEIGHTS else nn.functional.normalize(values, dim=-1)


def load(source: Source, hidden: int) -> TokenHeads:
    """The layers whose files are there; ExportError for one that is damaged or of another width than the model."""
    return TokenHeads({name: _linear(source, file, hidden) for name, file in _FILES.items() if source.has(file)})


def _linear(source: Source, file: str, hidden: int) -> nn.Linear:
    try:
        state = torch.load(source.folder / file, map_location="cpu", weights_only=True)
        outputs, inputs = state["weight"].shape
    except Exception as error:  # torch raises whatever it stumbles over: pickles, zip files, keys
        raise ExportError(f"{source.label}: {file} is damaged; download the model again") from error
    if inputs != hidden:
        raise ExportError(f"{source.label}: {file} takes {inputs} numbers, but the model's hidden states have {hidden}")
    linear = nn.Linear(inputs, outputs, bias="bias" in state)
    linear.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return linear.eval().requires_grad_(False)
