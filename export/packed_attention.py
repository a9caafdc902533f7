"""Self-attention over sequences that lie one after the other, without padding, as ONNX Runtime's operator computes it.

https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.PackedMultiHeadAttention
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

DOMAIN, OPERATOR = "com.microsoft", "PackedMultiHeadAttention"


@dataclass(frozen=True)
class Sequences:
    """Where the sequences of a batch lie.

    token_offset: int32 [S, longest], slots of the tokens in a padded matrix, then those of the padding
    cu_seqlens:   int32 [S + 1], where each sequence begins and the last one ends
    """

    token_offset: Tensor
    cu_seqlens: Tensor


class PackedSelfAttention(nn.Module):
    """In the place of a BERT's self-attention, with its weights. Sequences travel where the mask did."""

    bias: Tensor

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.query, self.key, self.value = original.query, original.key, original.value
        self.register_buffer("bias", torch.cat([part.bias for part in (self.query, self.key, self.value)]))
        self._heads = int(original.num_attention_heads)

    def forward(self, hidden: Tensor, attention_mask: Sequences, **unused: Any) -> tuple[Tensor]:
        """[1, T, H] to [1, T, H]."""
        tokens = hidden.squeeze(0)
        parts = (nn.functional.linear(tokens, part.weight) for part in (self.query, self.key, self.value))
        where = attention_mask
        context = _Operator.apply(*parts, self.bias, where.token_offset, where.cu_seqlens, self._heads)
        return (context.unsqueeze(0),)


class _Operator(torch.autograd.Function):
    """One node of the exported graph. Inside torch it gives the right shape only: the numbers are the engine's."""

    @staticmethod
    def forward(context: Any, query: Tensor, *others: Any) -> Tensor:
        return torch.zeros_like(query)

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, bias: Any, offset: Any, ends: Any, heads: int) -> Any:
        made = graph.op(f"{DOMAIN}::{OPERATOR}", query, key, value, bias, offset, ends, num_heads_i=heads)
        made.setType(query.type())
        return made
