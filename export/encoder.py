"""All layers of an encoder as one node of the graph, an operator of export/amx.

The graph holds the matrices in bfloat16, as they are computed with.
"""

from typing import Any

import torch
from torch import Tensor, nn

from export.amx import DOMAIN

OPERATOR = "Encoder"
# Columns of a tile.
MULTIPLE = 32


class Encoder(nn.Module):
    """In the place of a BERT's layers, with their weights rounded to bfloat16; with `first_only`, the last one is
    computed for the first token of each sequence alone."""

    def __init__(self, layers: Any, first_only: bool) -> None:
        super().__init__()
        weights = [_weights(layer) for layer in layers]
        for name in weights[0]:
            stacked = torch.stack([each[name].detach() for each in weights])
            self.register_buffer(name, stacked.bfloat16() if stacked.ndim == 3 else stacked.float())
        attention = layers[0].attention.self
        heads, width = int(attention.num_attention_heads), int(attention.attention_head_size)
        self.attributes = (heads, width**-0.5, float(layers[0].output.LayerNorm.eps), int(first_only))

    def forward(self, hidden: Tensor, ends: Tensor) -> Tensor:
        """float32 [T, H] and the ends of the sequences, int32 [S + 1], to [T, H] or, of their first tokens, [S, H]."""
        made: Tensor = _Operator.apply(hidden, ends, *self.buffers(), self.attributes)
        return made


def _weights(layer: Any) -> dict[str, Tensor]:
    """In the order in which the operator takes them."""
    attention, attended = layer.attention.self, layer.attention.output
    heads = int(attention.num_attention_heads)
    parts = [part for each in (attention.query, attention.key, attention.value) for part in each.parameters()]
    return {
        "attention": torch.cat([_wider(part, heads) for part in parts[::2]]),
        "attention_bias": torch.cat([_wider(part, heads) for part in parts[1::2]]),
        "attended": _wider(attended.dense.weight.T, heads).T,
        "attended_bias": attended.dense.bias,
        "after_attention": attended.LayerNorm.weight,
        "after_attention_bias": attended.LayerNorm.bias,
        "up": layer.intermediate.dense.weight,
        "up_bias": layer.intermediate.dense.bias,
        "down": layer.output.dense.weight,
        "down_bias": layer.output.dense.bias,
        "after_all": layer.output.LayerNorm.weight,
        "after_all_bias": layer.output.LayerNorm.bias,
    }


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
