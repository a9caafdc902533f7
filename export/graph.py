"""What is exported: one torch module per task, from token matrices to vectors or logits.

All inputs are int32 [B, L], padded at the end of each row. Pooling, projection, normalisation and the classifier are
inside, so that only [B, D] leaves the engine (and what is asked for of each token, for a model that has it).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from export import first_token
from export.architecture import Architecture
from export.token_heads import TokenHeads

# Finite in fp16 too, and far below any attention score.
MASKED = -30000.0


class EmbedderGraph(nn.Module):
    """Backbone, pooling, dense layers, normalisation: vectors float32 [B, D]; and the outputs of `token_heads`.

    With `pooling_mask` among the inputs, tokens are pooled where it is 1 and attended to where attention_mask is 1.
    """

    def __init__(
        self,
        backbone: nn.Module,
        architecture: Architecture,
        inputs: Sequence[str],
        pooling: Sequence[str],
        dense: nn.Sequential,
        normalized: bool,
        token_heads: TokenHeads,
    ) -> None:
        super().__init__()
        self.backbone, self.dense, self.token_heads = backbone, dense, token_heads
        self.outputs = ("vectors", *token_heads.outputs)
        self._architecture, self.inputs = architecture, tuple(inputs)
        self.pooling, self.normalized = tuple(pooling), normalized
        self.eval()  # a parent in training mode would bring dropout back

    def forward(self, *matrices: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.inputs, matrices, strict=True))
        hidden = run(self.backbone, self._architecture, named)[0]
        return self._outputs(hidden, named.get("pooling_mask", named["attention_mask"]))

    def reference(self, row: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """The outputs of one unpadded row, with the backbone called as its authors call it."""
        return self._outputs(self.backbone(**plain(row))[0], row.get("pooling_mask", row["attention_mask"]))

    def _outputs(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return (self._head(hidden, mask), *self.token_heads(hidden))

    def _head(self, hidden: Tensor, mask: Tensor) -> Tensor:
        pooled = torch.cat([pool(hidden, mask, mode) for mode in self.pooling], dim=1)
        vectors: Tensor = self.dense(pooled)
        return nn.functional.normalize(vectors, dim=1) if self.normalized else vectors


class RerankerGraph(nn.Module):
    """A sequence classifier: logits float32 [B, 1]. Two labels become their difference, whose sigmoid is P(label 1)."""

    outputs = ("logits",)

    def __init__(self, backbone: nn.Module, architecture: Architecture, inputs: Sequence[str]) -> None:
        super().__init__()
        self.backbone = backbone
        self._architecture, self.inputs = architecture, tuple(inputs)
        self.eval()

    def forward(self, *matrices: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.inputs, matrices, strict=True))
        with first_token.alone(self.backbone):
            return (one_logit(run(self.backbone, self._architecture, named).logits),)

    def reference(self, row: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """The logit of one unpadded row, with the backbone called as its authors call it."""
        return (one_logit(self.backbone(**plain(row)).logits),)


class AnswerGraph(nn.Module):
    """A causal language model asked for yes or no: logits float32 [B, 1], of `yes` less `no` after the last token.

    Only those two rows of the output layer are in the graph.
    """

    outputs = ("logits",)

    def __init__(self, model: Any, architecture: Architecture, inputs: Sequence[str], yes: int, no: int | None) -> None:
        super().__init__()
        self.model, self.backbone = model, model.base_model
        rows = model.get_output_embeddings().weight.detach()
        weight = rows[yes : yes + 1] if no is None else rows[yes : yes + 1] - rows[no : no + 1]
        self.weight = nn.Parameter(weight.clone(), requires_grad=False)
        self._architecture, self.inputs = architecture, tuple(inputs)
        self._yes, self._no = yes, no
        self.eval()

    def forward(self, *matrices: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.inputs, matrices, strict=True))
        hidden = run(self.backbone, self._architecture, named)[0]
        return (nn.functional.linear(pool(hidden, named["attention_mask"], "lasttoken"), self.weight),)

    def reference(self, row: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """The answer's logit for one unpadded row, from the whole output layer."""
        logits = self.model(**plain(row)).logits[:, -1]
        found: Tensor = logits[:, self._yes] - (0 if self._no is None else logits[:, self._no])
        return (found[:, None],)


Graph = EmbedderGraph | RerankerGraph | AnswerGraph


def run(backbone: nn.Module, architecture: Architecture, named: dict[str, Tensor]) -> Any:
    """The backbone on padded rows, everything explicit that it takes."""
    arguments = {name: matrix for name, matrix in named.items() if name != "pooling_mask"}
    if architecture.causal:
        arguments["attention_mask"] = causal_mask(named["attention_mask"], getattr(backbone, "config", None))
    return backbone(**arguments)


def plain(row: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: row[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in row}


def causal_mask(mask: Tensor, config: Any) -> Tensor:
    """Additive float32 [B, 1, L, L]: each token sees the real tokens in front of it, within the sliding window."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    distance = positions[:, None] - positions[None, :]
    seen = distance >= 0
    window = getattr(config, "sliding_window", None)
    if window and getattr(config, "use_sliding_window", True):
        seen = seen & (distance < window)
    visible = seen[None, None] & mask[:, None, None, :].bool()
    return torch.where(visible, 0.0, MASKED)


def pool(hidden: Tensor, mask: Tensor, mode: str) -> Tensor:
    """[B, L, H] and mask [B, L] to [B, H], as sentence-transformers' Pooling does."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    if mode == "cls":
        return hidden[:, 0]
    if mode == "lasttoken":
        last = (mask.sum(dim=1, dtype=torch.int64) - 1).clamp(min=0)
        return hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[2])).squeeze(1)
    if mode == "max":
        return (hidden * weights + (1 - weights) * MASKED).amax(dim=1)
    if mode == "weightedmean":
        weights = weights * torch.arange(1, hidden.shape[1] + 1, device=hidden.device).to(hidden.dtype)[None, :, None]
    total = weights.sum(dim=1).clamp(min=1e-9)
    return (hidden * weights).sum(dim=1) / (total.sqrt() if mode == "mean_sqrt_len" else total)


def one_logit(logits: Tensor) -> Tensor:
    return logits[:, 1:2] - logits[:, 0:1] if logits.shape[1] == 2 else logits
