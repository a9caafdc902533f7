"""The bytes of a vector, in each type that can be asked for."""

import struct

import numpy as np
import pytest

from services.embed.quantization import Dtype, quantize

ROWS = [[0.5, -0.25, 1.0, -1.0, 0.0, 0.003, -0.003, 0.1, -0.1, 2.0], [0.0] * 10]
VECTORS = np.array(ROWS, np.float32)


def test_float32() -> None:
    assert quantize(VECTORS, Dtype.FLOAT32) == struct.pack("<20f", *ROWS[0], *ROWS[1])


def test_float16() -> None:
    assert quantize(VECTORS, Dtype.FLOAT16) == struct.pack("<20e", *ROWS[0], *ROWS[1])


def test_int8_is_127_times_rounded_and_clipped() -> None:
    assert quantize(VECTORS, Dtype.INT8) == struct.pack("20b", 64, -32, 127, -127, 0, 0, 0, 13, -13, 127, *[0] * 10)


def test_binary_is_sign_bits_high_bit_first() -> None:
    assert quantize(VECTORS, Dtype.BINARY) == bytes([0b10100101, 0b01000000, 0, 0])


@pytest.mark.parametrize(
    ("dtype", "row_bytes"), [(Dtype.FLOAT32, 40), (Dtype.FLOAT16, 20), (Dtype.INT8, 10), (Dtype.BINARY, 2)]
)
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_sizes(dtype: Dtype, row_bytes: int, rows: int) -> None:
    assert len(quantize(np.zeros((rows, 10), np.float32), dtype)) == rows * row_bytes


def test_views_of_larger_arrays_are_packed_row_by_row() -> None:
    wide = np.arange(24, dtype=np.float32).reshape(2, 12)[:, ::3]
    assert quantize(wide, Dtype.FLOAT32) == struct.pack("<8f", 0, 3, 6, 9, 12, 15, 18, 21)
