"""The mean of a row's tokens as one node of the graph, an operator of export/amx that adds them up in their order."""

from typing import Any

import torch
from torch import Tensor

from export.amx import DOMAIN

OPERATOR = "SequenceMean"


def sequence_mean(hidden: Tensor, ends: Tensor, rows: Tensor) -> Tensor:
    """float32 [T, H], the ends of the sequences int32 [S + 1], and those asked for int32 [B], to [B, H]."""
    made: Tensor = _Operator.apply(hidden, ends, rows)
    return made


class _Operator(torch.autograd.Function):
    """One node of the exported graph. Inside torch it gives the right shape only: the numbers are the engine's."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, ends: Tensor, rows: Tensor) -> Tensor:
        return hidden.new_zeros(len(rows), hidden.shape[1])

    @staticmethod
    def symbolic(graph: Any, hidden: Any, ends: Any, rows: Any) -> Any:
        made = graph.op(f"{DOMAIN}::{OPERATOR}", hidden, ends, rows)
        made.setType(hidden.type().with_sizes([None, None]))
        return made
