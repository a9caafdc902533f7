"""One vector per text, from the vectors of its windows."""

import numpy as np
from numpy.typing import NDArray

from serving.batching.rows import Int32, starts


def merge(vectors: NDArray[np.float32], lengths: Int32, counts: Int32, *, normalized: bool) -> NDArray[np.float32]:
    """One vector per text: the mean of its windows' vectors weighted by their tokens, at unit length for a model whose
    vectors are. A text of one window keeps its vector bit for bit.
    """
    begins = starts(counts)
    merged: NDArray[np.float32] = vectors[begins]
    several = np.flatnonzero(counts > 1)
    for text in several:
        part = slice(begins[text], begins[text] + counts[text])
        merged[text] = np.average(vectors[part], axis=0, weights=lengths[part])
    if normalized:
        norms = np.linalg.norm(merged[several], axis=1, keepdims=True)
        merged[several] /= np.maximum(norms, np.float32(1e-12))
    return merged


def shorten(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """The first `dimensions` of each vector, normalised again (Matryoshka, Kusupati et al. 2022). 0 keeps all."""
    if dimensions in (0, vectors.shape[1]):
        return vectors
    head = vectors[:, :dimensions]
    norms = np.linalg.norm(head, axis=1, keepdims=True)
    shortened: NDArray[np.float32] = head / np.maximum(norms, np.float32(1e-12))
    return shortened
