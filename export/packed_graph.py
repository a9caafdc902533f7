"""What is exported in the packed layout: T tokens of all rows one after the other, to one vector or logit for each row.

Inputs are int32: input_ids, position_ids, token_type_ids [T]; token_offset [S, longest] and cu_seqlens [S + 1] of the S
sequences, which may be more than the B rows (serving/batching/packing.py fills up with one that nobody asked for);
row_numbers [B], the sequences to be answered; token_rows [T], the sequence of each token. No shape is computed inside.
In fp16 that is the encoder: what comes after it, a thousandth of the work, stays in fp32.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from export.errors import ExportError
from export.graph import AnswerGraph, EmbedderGraph, Graph, RerankerGraph, one_logit
from export.packed_attention import Sequences
from export.packed_backbone import PackedBackbone, refusal
from serving.served_model import Precision

POOLING = ("cls", "mean")


class PackedEmbedder(nn.Module):
    """Vectors float32 [B, D]; and, of all T tokens, the outputs of `token_heads`."""

    def __init__(self, graph: EmbedderGraph, precision: Precision) -> None:
        super().__init__()
        self.backbone = _backbone(graph.backbone, precision)
        self.dense, self.token_heads, self.outputs = graph.dense, graph.token_heads, graph.outputs
        self._pooling, self._normalized = graph.pooling, graph.normalized
        self.inputs = _inputs(graph, *(["token_rows"] if "mean" in graph.pooling else []))
        self.eval()

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.inputs, arrays, strict=True))
        hidden = _hidden(self.backbone, named)
        pooled = torch.cat([_pool(hidden.squeeze(0), named, mode) for mode in self._pooling], dim=1)
        vectors: Tensor = self.dense(pooled)
        # Not squeeze(0), whose export asks whether it may.
        tokens = (output[0] for output in self.token_heads(hidden.float()))
        return (_unit(vectors) if self._normalized else vectors, *tokens)


class PackedReranker(nn.Module):
    """Logits float32 [B, 1], as RerankerGraph's."""

    outputs = RerankerGraph.outputs

    def __init__(self, graph: RerankerGraph, precision: Precision) -> None:
        super().__init__()
        model: Any = graph.backbone
        self.backbone = _backbone(model, precision)
        self.pooler = getattr(model.base_model, "pooler", None) or nn.Identity()
        self.classifier = model.classifier
        self.inputs = _inputs(graph)
        self.eval()

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.inputs, arrays, strict=True))
        first = _first(_hidden(self.backbone, named).squeeze(0), named)
        # Pooler and classifier take hidden states [B, L, H] and look at the first token of each.
        return (one_logit(self.classifier(self.pooler(first.unsqueeze(1)))),)


PackedGraph = PackedEmbedder | PackedReranker


def pack(graph: Graph, name: str, precision: Precision) -> PackedGraph:
    """The same model on packed tokens; ExportError for one that the layout is not for."""
    reason = _refusal(graph)
    if isinstance(graph, AnswerGraph) or reason:
        raise ExportError(f"{name}: the packed layout is not for {reason}")
    return (PackedEmbedder if isinstance(graph, EmbedderGraph) else PackedReranker)(graph, precision)


def _refusal(graph: Graph) -> str:
    if isinstance(graph, AnswerGraph):
        return "models that are asked for yes or no"
    if isinstance(graph, EmbedderGraph):
        if "pooling_mask" in graph.inputs:
            return "models that pool a part of their tokens"
        unknown = [mode for mode in graph.pooling if mode not in POOLING]
        if unknown:
            return f"pooling by {unknown[0]}; it is for {' and '.join(POOLING)}"
    return refusal(graph.backbone.config)


def _backbone(model: Any, precision: Precision) -> PackedBackbone:
    backbone = PackedBackbone(model)
    return copy.deepcopy(backbone).half() if precision == "fp16" else backbone


def _inputs(graph: Graph, *more: str) -> tuple[str, ...]:
    types = ["token_type_ids"] if "token_type_ids" in graph.inputs else []
    return ("input_ids", "position_ids", *types, "token_offset", "cu_seqlens", "row_numbers", *more)


def _hidden(backbone: PackedBackbone, named: dict[str, Tensor]) -> Tensor:
    sequences = Sequences(named["token_offset"], named["cu_seqlens"])
    hidden: Tensor = backbone(named["input_ids"], named["position_ids"], named.get("token_type_ids"), sequences)
    return hidden


def _first(hidden: Tensor, named: dict[str, Tensor]) -> Tensor:
    """[T, H] to the first token of each row, float32 [B, H]."""
    return hidden.index_select(0, named["cu_seqlens"].index_select(0, named["row_numbers"])).float()


def _pool(hidden: Tensor, named: dict[str, Tensor], mode: str) -> Tensor:
    """[T, H] to float32 [B, H]. The mean is a product with a matrix of shares."""
    if mode == "cls":
        return _first(hidden, named)
    rows, ends = named["row_numbers"], named["cu_seqlens"]
    lengths = ends.index_select(0, rows + 1) - ends.index_select(0, rows)
    shares = (named["token_rows"].unsqueeze(0) == rows.unsqueeze(1)).float() / lengths.unsqueeze(1)
    return torch.matmul(shares, hidden.float())


def _unit(vectors: Tensor) -> Tensor:
    """As torch's normalize, whose export asks for a shape, which is computed on the host."""
    return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-12)
