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

    def part(self, first: int, last: int, begin: int, end: int) -> "Rows":
        """Rows first..last, whose ids are begin..end, as views."""
        rows = slice(first, last)
        return Rows(
            self.ids[begin:end], self.lengths[rows], _at(self.second_starts, rows), _at(self.pooled_starts, rows)
        )


def starts(lengths: Int32) -> Int32:
    """Where each sequence begins in the concatenation: int32 [n]."""
    return np.cumsum(lengths, dtype=np.int32) - lengths


def slices(ids: Int32, begins: Int32, lengths: Int32) -> Int32:
    """The pieces ids[begin : begin + length], concatenated."""
    shift = begins - starts(lengths)
    return ids[np.repeat(shift, lengths) + np.arange(int(lengths.sum()), dtype=np.int32)]


def places(rows: Rows, indices: NDArray[np.intp]) -> Int32:
    """Where the tokens of the rows at `indices` are among the ids of all, row after row."""
    every = np.arange(rows.tokens, dtype=np.int32)
    return slices(every, starts(rows.lengths)[indices], rows.lengths[indices])


def take(rows: Rows, indices: NDArray[np.intp]) -> Rows:
    """The rows at `indices`, in that order."""
    lengths = rows.lengths[indices]
    ids = slices(rows.ids, starts(rows.lengths)[indices], lengths)
    return Rows(ids, lengths, _at(rows.second_starts, indices), _at(rows.pooled_starts, indices))


def _at(column: Int32 | None, key: "NDArray[np.intp] | slice") -> Int32 | None:
    return None if column is None else column[key]
