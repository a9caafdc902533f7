"""A layer of an encoder as one node of the graph, the operator of export/amx, and the encoder made of such nodes.

The graph holds the matrices in bfloat16, as they are computed with.
"""

from typing import Any

import torch
from torch import Tensor, nn

from export.packed_backbone import Embeddings, refusal

DOMAIN, OPERATOR = "siftline", "EncoderLayer"
# Columns of a tile.
MULTIPLE = 32


class EncoderLayer(nn.Module):
    """In the place of a BERT's layer, with its weights rounded to bfloat16."""

    def __init__(self, original: Any, first_only: bool) -> None:
        super().__init__()
        attention, attended = original.attention.self, original.attention.output
        heads, width = int(attention.num_attention_heads), int(attention.attention_head_size)
        parts = [part for each in (attention.query, attention.key, attention.value) for part in each.parameters()]
        weights, biases = (torch.cat([_wider(part, heads) for part in parts[first::2]]) for first in (0, 1))
        self._add("attention", weights, biases)
        self._add("attended", _wider(attended.dense.weight.T, heads).T, attended.dense.bias)
        self._add("after_attention", attended.LayerNorm.weight, attended.LayerNorm.bias)
        self._add("up", original.intermediate.dense.weight, original.intermediate.dense.bias)
        self._add("down", original.output.dense.weight, original.output.dense.bias)
        self._add("after_all", original.output.LayerNorm.weight, original.output.LayerNorm.bias)
        self.attributes = (heads, width**-0.5, float(original.output.LayerNorm.eps), int(first_only))

    def _add(self, name: str, weight: Tensor, bias: Tensor) -> None:
        kept = weight.detach().bfloat16() if weight.ndim == 2 else weight.detach().float()
        self.register_buffer(name, kept.clone())
        self.register_buffer(f"{name}_bias", bias.detach().float().clone())

    def forward(self, hidden: Tensor, ends: Tensor) -> Tensor:
        """float32 [T, H] and the ends of the sequences, int32 [S + 1], to [T, H] or, of their first tokens, [S, H]."""
        made: Tensor = _Operator.apply(hidden, ends, *self.buffers(), self.attributes)
        return made


def _wider(rows: Tensor, heads: int) -> Tensor:
    """Rows of all heads, each head's filled up with zeros to a multiple of MULTIPLE."""
    by_head = rows.detach().reshape(heads, -1, *rows.shape[1:])
    missing = -by_head.shape[1] % MULTIPLE
    zeros = by_head.new_zeros(heads, missing, *rows.shape[1:])
    return torch.cat([by_head, zeros], dim=1).flatten(0, 1)


class _Operator(torch.autograd.Function):
    """One node of the exported graph. Inside torch it gives the right shape only: the numbers are the engine's."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, ends: Tensor, *others: Any) -> Tensor:
        return hidden[: len(ends) - 1] * 0 if others[-1][-1] else torch.zeros_like(hidden)

    @staticmethod
    def symbolic(graph: Any, hidden: Any, *others: Any) -> Any:
        *weights, (heads, scale, epsilon, first_only) = others
        attributes = {"heads_i": heads, "scale_f": scale, "epsilon_f": epsilon, "first_only_i": first_only}
        made = graph.op(f"{DOMAIN}::{OPERATOR}", hidden, *weights, **attributes)
        # As many rows as it likes: not those of the input where the first tokens alone come out.
        made.setType(hidden.type().with_sizes([None, None]))
        return made


class AmxBackbone(nn.Module):
    """Embeddings and encoder of a model; with `first_only`, of the first token of each sequence alone."""

    domain = DOMAIN

    def __init__(self, model: Any, first_only: bool) -> None:
        super().__init__()
        base = model.base_model
        self.embeddings = Embeddings(base)
        *most, last = base.encoder.layer
        self.layers = nn.ModuleList([*(EncoderLayer(layer, False) for layer in most), EncoderLayer(last, first_only)])
        self.first_only = first_only

    def forward(self, named: dict[str, Tensor]) -> Tensor:
        """The graph's inputs to hidden states float32 [T, H], or [S, H]."""
        hidden: Tensor = self.embeddings(named).squeeze(0)
        for layer in self.layers:
            hidden = layer(hidden, named["cu_seqlens"])
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
