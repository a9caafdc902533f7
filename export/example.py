"""What a graph is traced with when it is exported."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from export.graph import Graph
from export.packed_graph import PackedGraph
from serving.batching import PackedLayout, Rows
from serving.served_model import TOKEN_OUTPUTS


@dataclass(frozen=True)
class Example:
    """A tensor for each input; names of the axes that vary; versions of the operators' own domains."""

    tensors: tuple[Tensor, ...]
    axes: dict[str, dict[int, str]]
    domains: dict[str, int] = field(default_factory=dict)


def padded(graph: Graph) -> Example:
    """Two rows of nine tokens, the second with padding, so that nothing is constant by accident."""
    mask = torch.ones((2, 9), dtype=torch.int32)
    mask[1, 6:] = 0
    ids = torch.arange(3, 21, dtype=torch.int32).reshape(2, 9)
    positions = torch.arange(2, 11, dtype=torch.int32).repeat(2, 1)
    made = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "pooling_mask": mask.clone()}
    axes = {name: {0: "batch", 1: "length"} for name in (*graph.inputs, *TOKEN_OUTPUTS)}
    return Example(
        tuple(made.get(name, torch.zeros_like(ids)) for name in graph.inputs),
        {name: axes.get(name, {0: "batch"}) for name in (*graph.inputs, *graph.outputs)},
    )


def packed(graph: PackedGraph) -> Example:
    """Three rows of different lengths, and the padding."""
    rows = Rows(np.arange(3, 14, dtype=np.int32), np.array([5, 4, 2], np.int32), np.array([3, 2, 1], np.int32))
    arrays = PackedLayout(graph.inputs, pad_token_id=0).batch([rows]).arrays
    axes = {"token_offset": {0: "sequences", 1: "longest"}, "cu_seqlens": {0: "ends"}, "row_numbers": {0: "rows"}}
    inputs = {name: axes.get(name, {0: "tokens"}) for name in graph.inputs}
    outputs = {name: {0: "tokens" if name in TOKEN_OUTPUTS else "rows"} for name in graph.outputs}
    return Example(tuple(map(torch.from_numpy, arrays.values())), inputs | outputs, {graph.backbone.domain: 1})
