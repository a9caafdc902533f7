"""What is exported in the packed layout: T tokens of all rows one after the other, to one vector or logit for each row.

Inputs are int32: input_ids, position_ids, token_type_ids [T]; cu_seqlens [S + 1] of the S sequences, which on a GPU may
be more than the B rows (serving/batching/packing.py fills up with one that nobody asked for), and for its operator
token_offset [S, longest]; row_numbers [B], the sequences to be answered; token_rows [T], the sequence of each token.
No shape is computed inside. In fp16, or in bf16 with AMX, that is the encoder: what comes after it, a thousandth of the
work, stays in fp32.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from export.amx_backbone import AmxBackbone, amx_refusal
from export.errors import ExportError
from export.graph import AnswerGraph, EmbedderGraph, Graph, RerankerGraph, one_logit
from export.packed_backbone import PackedBackbone, refusal
from export.sequence_mean import sequence_mean
from serving.served_model import Precision

POOLING = ("cls", "mean")

Backbone = PackedBackbone | AmxBackbone


class PackedEmbedder(nn.Module):
    """Vectors float32 [B, D]; and, of all T tokens, the outputs of `token_heads`."""

    def __init__(self, graph: EmbedderGraph, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.dense, self.token_heads, self.outputs = graph.dense, graph.token_heads, graph.outputs
        self._pooling, self._normalized = graph.pooling, graph.normalized
        by_shares = "mean" in graph.pooling and isinstance(backbone, PackedBackbone)
        self.inputs = _inputs(graph, backbone, *(["token_rows"] if by_shares else []))
        self.eval()

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.inputs, arrays, strict=True))
        hidden = self.backbone(named)
        pooled = torch.cat([self._pool(hidden, named, mode) for mode in self._pooling], dim=1)
        vectors: Tensor = self.dense(pooled)
        # Not squeeze(0), whose export asks whether it may.
        tokens = (output[0] for output in self.token_heads(hidden.unsqueeze(0).float()))
        return (_unit(vectors) if self._normalized else vectors, *tokens)

    def _pool(self, hidden: Tensor, named: dict[str, Tensor], mode: str) -> Tensor:
        """Hidden states to float32 [B, H]. On a GPU the mean is a product with a matrix of shares."""
        if mode == "cls":
            return _first(self.backbone, hidden, named)
        rows, ends = named["row_numbers"], named["cu_seqlens"]
        if isinstance(self.backbone, AmxBackbone):
            return sequence_mean(hidden, ends, rows)
        lengths = ends.index_select(0, rows + 1) - ends.index_select(0, rows)
        shares = (named["token_rows"].unsqueeze(0) == rows.unsqueeze(1)).float() / lengths.unsqueeze(1)
        return torch.matmul(shares, hidden.float())


class PackedReranker(nn.Module):
    """Logits float32 [B, 1], as RerankerGraph's."""

    outputs = RerankerGraph.outputs

    def __init__(self, graph: RerankerGraph, backbone: Backbone) -> None:
        super().__init__()
        model: Any = graph.backbone
        self.backbone = backbone
        self.pooler = getattr(model.base_model, "pooler", None) or nn.Identity()
        self.classifier = model.classifier
        self.inputs = _inputs(graph, backbone)
        self.eval()

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.inputs, arrays, strict=True))
        first = _first(self.backbone, self.backbone(named), named)
        # Pooler and classifier take hidden states [B, L, H] and look at the first token of each.
        return (one_logit(self.classifier(self.pooler(first.unsqueeze(1)))),)


PackedGraph = PackedEmbedder | PackedReranker


def pack(graph: Graph, name: str, precision: Precision) -> PackedGraph:
    """The same model on packed tokens for a GPU; ExportError for one that the layout is not for."""
    if reason := _refusal(graph) or refusal(graph.backbone.config):
        raise ExportError(f"{name}: the packed layout is not for {reason}")
    backbone = PackedBackbone(graph.backbone)
    return _packed(graph, copy.deepcopy(backbone).half() if precision == "fp16" else backbone)


def pack_for_amx(graph: Graph, name: str) -> PackedGraph:
    """The same model on packed tokens for a CPU with AMX; ExportError for one that its operator is not for."""
    if reason := _refusal(graph) or amx_refusal(graph.backbone):
        raise ExportError(f"{name}: the operator for AMX is not for {reason}")
    first_only = graph.outputs in (("logits",), ("vectors",)) and getattr(graph, "pooling", ("cls",)) == ("cls",)
    return _packed(graph, AmxBackbone(graph.backbone, first_only))


def _packed(graph: Graph, backbone: Backbone) -> PackedGraph:
    if isinstance(graph, EmbedderGraph):
        return PackedEmbedder(graph, backbone)
    assert isinstance(graph, RerankerGraph)
    return PackedReranker(graph, backbone)


def _refusal(graph: Graph) -> str:
    if isinstance(graph, AnswerGraph):
        return "models that are asked for yes or no"
    if isinstance(graph, EmbedderGraph):
        if "pooling_mask" in graph.inputs:
            return "models that pool a part of their tokens"
        unknown = [mode for mode in graph.pooling if mode not in POOLING]
        if unknown:
            return f"pooling by {unknown[0]}; it is for {' and '.join(POOLING)}"
    return ""


def _inputs(graph: Graph, backbone: Backbone, *more: str) -> tuple[str, ...]:
    types = ["token_type_ids"] if "token_type_ids" in graph.inputs else []
    offset = ["token_offset"] if isinstance(backbone, PackedBackbone) else []
    return ("input_ids", "position_ids", *types, *offset, "cu_seqlens", "row_numbers", *more)


def _first(backbone: Backbone, hidden: Tensor, named: dict[str, Tensor]) -> Tensor:
    """Hidden states to the first token of each row, float32 [B, H]."""
    rows = named["row_numbers"]
    places = rows if backbone.first_only else named["cu_seqlens"].index_select(0, rows)
    return hidden.index_select(0, places).float()


def _unit(vectors: Tensor) -> Tensor:
    """As torch's normalize, whose export asks for a shape, which is computed on the host."""
    return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-12)
