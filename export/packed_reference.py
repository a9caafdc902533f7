"""A packed graph computed without a GPU: onnx's reference evaluator, with operators of ours.

ONNX Runtime's CPU provider has no kernel for PackedMultiHeadAttention. For checks, not for serving. In fp16, products
and normalisation are added up in fp32 and rounded once, as the GPU's kernels do it.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from export.packed_attention import DOMAIN

Floats = NDArray[Any]  # float32 or float16


class PackedMultiHeadAttention(OpRun):  # type: ignore[misc]
    """Separate query, key and value [T, H] with a bias [3 H]; attention inside each sequence of cu_seqlens."""

    op_domain = DOMAIN

    def _run(
        self, query: Floats, key: Floats, value: Floats, bias: Floats, offset: Any, ends: Any, num_heads: int = 0
    ) -> tuple[Floats]:
        _check_offset(offset, ends)
        parts = [_wide(part + shift) for part, shift in zip((query, key, value), np.split(bias, 3), strict=True)]
        heads = [part.reshape(len(query), num_heads, -1).swapaxes(0, 1) for part in parts]
        found = [_attend(*(part[:, begin:end] for part in heads)) for begin, end in pairwise(ends)]
        return (np.concatenate(found, axis=1).swapaxes(0, 1).reshape(query.shape).astype(query.dtype),)


class MatMul(OpRun):  # type: ignore[misc]
    op_domain = ""

    def _run(self, first: Floats, second: Floats) -> tuple[Floats]:
        return ((_wide(first) @ _wide(second)).astype(first.dtype),)


class LayerNormalization(OpRun):  # type: ignore[misc]
    op_domain = ""

    def _run(
        self, x: Floats, scale: Floats, bias: Floats, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
    ) -> tuple[Floats]:
        centered = _wide(x) - _wide(x).mean(-1, keepdims=True)
        unit = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + np.float32(epsilon))
        return ((unit * scale + bias).astype(x.dtype),)


class Erf(OpRun):  # type: ignore[misc]
    """onnx's own calls Python for every number."""

    op_domain = ""

    def _run(self, x: Floats) -> tuple[Floats]:
        return (torch.erf(torch.from_numpy(_wide(x))).numpy().astype(x.dtype),)


def run(path: Path, arrays: dict[str, NDArray[np.int32]]) -> dict[str, NDArray[np.float32]]:
    """The graph's outputs by name."""
    operators = [PackedMultiHeadAttention, MatMul, LayerNormalization, Erf]
    evaluator = ReferenceEvaluator(onnx.load(str(path)), new_ops=operators)
    return dict(zip(evaluator.output_names, evaluator.run(None, arrays), strict=True))


def _attend(query: Floats, key: Floats, value: Floats) -> Floats:
    """[heads, L, d] each to [heads, L, d]."""
    scores = query @ key.swapaxes(1, 2) / np.sqrt(np.float32(query.shape[2]))
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    attended: Floats = (weights / weights.sum(axis=2, keepdims=True)) @ value
    return attended


def _check_offset(offset: NDArray[np.int32], ends: NDArray[np.int32]) -> None:
    """Some kernels go by cu_seqlens, others by token_offset: both must say the same."""
    real = np.arange(offset.shape[1]) < np.diff(ends)[:, None]
    slots = np.arange(offset.size).reshape(offset.shape)
    if not np.array_equal(offset.ravel(), np.concatenate([slots[real], slots[~real]])):
        raise ValueError("token_offset and cu_seqlens disagree")


def _wide(values: Floats) -> NDArray[np.float32]:
    return values.astype(np.float32, copy=False)
