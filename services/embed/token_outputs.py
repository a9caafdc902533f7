"""What a text's tokens are turned into: a sparse vector or a vector each.

As BGE-M3 does it (FlagEmbedding, inference/embedder/encoder_only/m3.py). The model gives a weight and a vector for
every token; what is left out and put together is decided here.
"""

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.batching import Rows
from serving.batching.rows import Int32, starts
from serving.served_model import TOKEN_VECTORS, TOKEN_WEIGHTS


class Output(enum.Enum):
    """What is made of a text, by the name of the graph's output that it is made from."""

    DENSE = "vectors"
    SPARSE = TOKEN_WEIGHTS
    MULTI_VECTOR = TOKEN_VECTORS


@dataclass(frozen=True, slots=True)
class SparseVectors:
    """n vectors in compressed rows: offsets int32 [n + 1], ids int32 [m] ascending in each row, weights float32 [m]."""

    offsets: Int32
    ids: Int32
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MultiVectors:
    """Vectors float32 [m, d] of the tokens of n texts, text after text: offsets int32 [n + 1]."""

    offsets: Int32
    vectors: NDArray[np.float32]


def sparse_vectors(
    rows: Rows, counts: Int32, weights: NDArray[np.float32], weightless: tuple[int, ...]
) -> SparseVectors:
    """The largest weight of each distinct token of each text, whose rows `counts` tells; weights: [T], of all ids."""
    kept = (weights > 0) & ~np.isin(rows.ids, weightless)
    texts = np.repeat(np.arange(len(counts)), np.add.reduceat(rows.lengths, starts(counts)))[kept]
    ids, weights = rows.ids[kept], weights[kept]
    order = np.lexsort((ids, texts))
    texts, ids, weights = texts[order], ids[order], weights[order]
    firsts = np.flatnonzero(np.diff(texts, prepend=-1) | np.diff(ids, prepend=-1))
    largest = np.maximum.reduceat(weights, firsts) if len(firsts) else weights
    return SparseVectors(_offsets(np.bincount(texts[firsts], minlength=len(counts))), ids[firsts], largest)


def multi_vectors(rows: Rows, counts: Int32, vectors: NDArray[np.float32], skipped: int) -> MultiVectors:
    """Vectors of all tokens but the first `skipped` of each row; `counts` tells each text's rows; vectors: [T, d]."""
    places = np.arange(rows.tokens, dtype=np.int32) - np.repeat(starts(rows.lengths), rows.lengths)
    lengths = np.add.reduceat(rows.lengths - np.int32(skipped), starts(counts))
    return MultiVectors(_offsets(lengths), vectors[places >= skipped])


def _offsets(lengths: NDArray[np.int_] | Int32) -> Int32:
    return np.append(0, np.cumsum(lengths)).astype(np.int32)
