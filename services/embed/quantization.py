"""Vectors as the bytes that travel: little-endian, row-major, no framing."""

import enum

import numpy as np
from numpy.typing import NDArray

LITTLE_FLOAT32: np.dtype[np.float32] = np.dtype(np.float32).newbyteorder("<")
LITTLE_UINT32: np.dtype[np.uint32] = np.dtype(np.uint32).newbyteorder("<")
LITTLE_FLOAT16: np.dtype[np.float16] = np.dtype(np.float16).newbyteorder("<")


class Dtype(enum.Enum):
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    BINARY = "binary"


def row_bytes(dtype: Dtype, dimensions: int) -> int:
    """Bytes of one vector."""
    return {Dtype.FLOAT32: 4 * dimensions, Dtype.FLOAT16: 2 * dimensions, Dtype.INT8: dimensions}.get(
        dtype, -(-dimensions // 8)
    )


def quantize(vectors: NDArray[np.float32], dtype: Dtype) -> bytes:
    """float32 [..., d] to row_bytes each: 4d, 2d, d (round(127 x), clipped) or ceil(d / 8) (signs, high bit first)."""
    match dtype:
        case Dtype.FLOAT32:
            return vectors.astype(LITTLE_FLOAT32, copy=False).tobytes()
        case Dtype.FLOAT16:
            return vectors.astype(LITTLE_FLOAT16).tobytes()
        case Dtype.INT8:
            whole: NDArray[np.int8] = np.clip(np.rint(vectors * 127), -127, 127).astype(np.int8)
            return whole.tobytes()
        case Dtype.BINARY:
            bits: NDArray[np.uint8] = np.packbits(vectors > 0, axis=-1)
            return bits.tobytes()
