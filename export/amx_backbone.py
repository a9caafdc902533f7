"""An encoder made of the operators of export/amx, on packed tokens."""

from typing import Any

from torch import Tensor, nn

from export.amx import DOMAIN
from export.encoder import MULTIPLE, Encoder
from export.packed_backbone import refusal
from export.token_embeddings import TokenEmbeddings


class AmxBackbone(nn.Module):
    """Embeddings and encoder of a model; with `first_only`, of the first token of each sequence alone."""

    domain = DOMAIN

    def __init__(self, model: Any, first_only: bool) -> None:
        super().__init__()
        base = model.base_model
        self.embeddings = TokenEmbeddings(base)
        self.encoder = Encoder(base.encoder.layer, first_only)
        self.first_only = first_only

    def forward(self, named: dict[str, Tensor]) -> Tensor:
        """The graph's inputs to hidden states float32 [T, H], or [S, H]."""
        hidden: Tensor = self.encoder(self.embeddings(named), named["cu_seqlens"])
        return hidden


def amx_refusal(model: Any) -> str:
    """What of a model the operator is not for; "" for nothing."""
    config = model.config
    if reason := refusal(config):
        return reason
    if config.hidden_act != "gelu":
        return f"the activation {config.hidden_act}; it is for gelu"
    odd = [size for size in (config.hidden_size, config.intermediate_size) if size % MULTIPLE]
    return f"a size of {odd[0]}; it is for multiples of {MULTIPLE}" if odd else ""
