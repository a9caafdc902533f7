"""Token sequences of one request."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Rows:
    """n token sequences, concatenated without padding.

    ids:            int32 [T], T = sum(lengths)
    lengths:        int32 [n], special tokens included
    second_starts:  int32 [n], position at which a row's second segment begins (cross-encoders with segment ids)
    pooled_starts:  int32 [n], position from which a row's tokens are pooled (INSTRUCTOR)
    """

    ids: Int32
    lengths: Int32
    second_starts: Int32 | None = None
    pooled_starts: Int32 | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        return len(self.ids)


def starts(lengths: Int32) -> Int32:
    """Where each sequence begins in the concatenation: int32 [n]."""
    return np.cumsum(lengths, dtype=np.int32) - lengths


def slices(ids: Int32, begins: Int32, lengths: Int32) -> Int32:
    """The pieces ids[begin : begin + length], concatenated."""
    shift = begins - starts(lengths)
    return ids[np.repeat(shift, lengths) + np.arange(int(lengths.sum()), dtype=np.int32)]


def gather(rows: Rows, indices: NDArray[np.intp]) -> Int32:
    """The ids of the rows at `indices`, concatenated in that order."""
    return slices(rows.ids, starts(rows.lengths)[indices], rows.lengths[indices])
