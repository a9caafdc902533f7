"""Cache values of embedded texts: the row as the embed service sent it, and what tells that it is that of the key.

So a hit equals a miss bit for bit, whatever the dtype.
"""

import hashlib
import struct
from dataclasses import dataclass

_HEAD = struct.Struct("<BBIII8s")  # version, flags, tokens, windows, length of the row, checksum
_VERSION = 2
_TRUNCATED = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One embedded text: `vector` as on the wire (little-endian, any dtype), tokens computed, whether cut, windows."""

    vector: bytes
    tokens: int
    truncated: bool
    windows: int = 1


def encode(key: bytes, row: Row) -> bytes:
    """Value of a row: head and vector. The checksum covers the key, so a value under another key is seen."""
    flags = _TRUNCATED if row.truncated else 0
    checksum = _checksum(key, flags, row.tokens, row.windows, row.vector)
    return _HEAD.pack(_VERSION, flags, row.tokens, row.windows, len(row.vector), checksum) + row.vector


def decode(key: bytes, value: bytes, row_bytes: int) -> Row | None:
    """The row, or None when the value is not exactly what `encode` wrote under `key` for rows of `row_bytes`."""
    if len(value) != _HEAD.size + row_bytes:
        return None
    version, flags, tokens, windows, length, checksum = _HEAD.unpack_from(value)
    vector = value[_HEAD.size :]
    if version != _VERSION or length != row_bytes or checksum != _checksum(key, flags, tokens, windows, vector):
        return None
    return Row(vector, tokens, bool(flags & _TRUNCATED), windows)


def _checksum(key: bytes, flags: int, tokens: int, windows: int, vector: bytes) -> bytes:
    return hashlib.blake2b(key + struct.pack("<BII", flags, tokens, windows) + vector, digest_size=8).digest()
