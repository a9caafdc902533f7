"""What the batcher knows of a layout: how rows of several requests become the arrays of one batch, and rows again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serving.batching.rows import Int32, Rows


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch for the engine: `arrays` are the graph's int32 inputs by name.

    lengths:        int32 [B], of the rows, in order
    tokens:         without padding
    computed:       with it
    token_outputs:  names of the outputs per token that are wanted
    """

    arrays: dict[str, Int32]
    lengths: Int32
    tokens: int
    computed: int
    token_outputs: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.lengths)


class Layout(Protocol):
    """PaddedLayout (matrices.py) or PackedLayout (packing.py)."""

    @property
    def pad_token_id(self) -> int: ...

    @property
    def mixes_lengths(self) -> bool:
        """Whether long and short rows may go together at no cost."""

    def batch(self, parts: Sequence[Rows], token_outputs: tuple[str, ...] = ()) -> Batch:
        """The rows of all parts, part after part."""

    def unpack(self, values: NDArray[np.float32], lengths: Int32) -> NDArray[np.float32]:
        """An output per token, as the engine gave it, to [sum(lengths), ...]: row after row, without padding."""
