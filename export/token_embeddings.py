"""What an encoder begins with as one node of the graph, an operator of export/amx: rows of tables, a sum, a norm."""

from typing import Any

import torch
from torch import Tensor, nn

from export.amx import DOMAIN

OPERATOR = "Embeddings"


class TokenEmbeddings(nn.Module):
    """In the place of a BERT's embeddings, with its weights in float32."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        table = base.embeddings
        tables = [table.word_embeddings, table.position_embeddings, table.token_type_embeddings]
        norm = table.LayerNorm
        for number, weight in enumerate([*(each.weight for each in tables), norm.weight, norm.bias]):
            self.register_buffer(f"weight_{number}", weight.detach().float().clone())
        self.epsilon = float(norm.eps)
        self.project = getattr(base, "embeddings_project", None) or nn.Identity()

    def forward(self, named: dict[str, Tensor]) -> Tensor:
        """int32 [T] each of ids, positions and, of a model with several, types, to float32 [T, H]."""
        ids = named["input_ids"]
        types = named.get("token_type_ids", torch.zeros_like(ids))
        embedded = _Operator.apply(ids, named["position_ids"], types, *self.buffers(), self.epsilon)
        projected: Tensor = self.project(embedded)
        return projected


class _Operator(torch.autograd.Function):
    """One node of the exported graph. Inside torch it gives the right shape only: the numbers are the engine's."""

    @staticmethod
    def forward(context: Any, ids: Tensor, *others: Any) -> Tensor:
        return torch.zeros(len(ids), others[2].shape[1])

    @staticmethod
    def symbolic(graph: Any, ids: Any, *others: Any) -> Any:
        *inputs, epsilon = others
        made = graph.op(f"{DOMAIN}::{OPERATOR}", ids, *inputs, epsilon_f=epsilon)
        made.setType(inputs[2].type().with_sizes([None, None]))
        return made
