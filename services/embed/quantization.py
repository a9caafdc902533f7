"""Vectors as the bytes that travel: little-endian, row-major, no framing."""

import enum

import numpy as np
from numpy.typing import NDArray


class Dtype(enum.Enum):
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    BINARY = "binary"


def quantize(vectors: NDArray[np.float32], dtype: Dtype) -> bytes:
    """float32 [n, d] to n * row_bytes: 4d, 2d, d (round(127 x), clipped) or ceil(d / 8) (sign bits, high bit first)."""
    match dtype:
        case Dtype.FLOAT32:
            return vectors.astype("<f4", copy=False).tobytes()
        case Dtype.FLOAT16:
            return vectors.astype("<f2").tobytes()
        case Dtype.INT8:
            return np.clip(np.rint(vectors * 127), -127, 127).astype(np.int8).tobytes()
        case Dtype.BINARY:
            return bytes(np.packbits(vectors > 0, axis=1))
