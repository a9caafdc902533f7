"""Rows of several requests as padded matrices, without a loop over tokens."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.batching.layout import Batch
from serving.batching.rows import Int32, Rows

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PaddedLayout:
    """What the graph wants: names of its int32 [B, L] inputs in order, padding id, id of the first position.

    `lengths` are the L that it is given, ascending, for an engine that prepares itself for every shape it meets;
    empty for any L.
    """

    inputs: tuple[str, ...]
    pad_token_id: int
    position_offset: int = 0
    lengths: tuple[int, ...] = ()
    mixes_lengths: ClassVar[bool] = False

    def fit(self, longest: int) -> int:
        """L of a batch whose longest row has so many tokens."""
        place = bisect_left(self.lengths, longest)
        return self.lengths[place] if place < len(self.lengths) else longest

    def batch(self, parts: Sequence[Rows], token_outputs: tuple[str, ...] = ()) -> Batch:
        """Padded at the end to a length that fits the longest."""
        lengths = np.concatenate([rows.lengths for rows in parts])
        tokens = np.concatenate([rows.ids for rows in parts])
        positions = np.arange(self.fit(lengths.max()), dtype=np.int32)
        mask = positions < lengths[:, None]
        ids = np.empty(mask.shape, np.int32)
        ids.fill(self.pad_token_id)
        ids[mask] = tokens
        arrays = {"input_ids": ids}
        for name in self.inputs:
            if name != "input_ids":
                arrays[name] = _BUILDERS[name](parts, positions, mask, ids, self)
        return Batch({name: arrays[name] for name in self.inputs}, lengths, len(tokens), ids.size, token_outputs)

    def unpack(self, values: NDArray[np.float32], lengths: Int32) -> NDArray[np.float32]:
        """[B, L, ...] to [sum(lengths), ...]."""
        return values[np.arange(values.shape[1]) < lengths[:, None]]


def _attention_mask(parts: Sequence[Rows], positions: Int32, mask: Mask, ids: Int32, layout: PaddedLayout) -> Int32:
    return mask.astype(np.int32)


def _position_ids(parts: Sequence[Rows], positions: Int32, mask: Mask, ids: Int32, layout: PaddedLayout) -> Int32:
    """From 0; or, as RoBERTa and its kin count, from pad + 1, with every pad token (also one in the text) at pad."""
    if layout.position_offset == 0:
        numbered: Int32 = np.where(mask, positions, np.int32(0))
        return numbered
    counted = ids != layout.pad_token_id
    numbered = np.cumsum(counted, axis=1, dtype=np.int32) * counted + np.int32(layout.position_offset - 1)
    return numbered


def _token_type_ids(parts: Sequence[Rows], positions: Int32, mask: Mask, ids: Int32, layout: PaddedLayout) -> Int32:
    if all(rows.second_starts is None for rows in parts):
        return np.zeros(mask.shape, np.int32)
    return _from([(rows.second_starts, len(rows)) for rows in parts], positions, mask, absent=len(positions))


def _pooling_mask(parts: Sequence[Rows], positions: Int32, mask: Mask, ids: Int32, layout: PaddedLayout) -> Int32:
    return _from([(rows.pooled_starts, len(rows)) for rows in parts], positions, mask, absent=0)


def _from(columns: Sequence[tuple[Int32 | None, int]], positions: Int32, mask: Mask, absent: int) -> Int32:
    """1 on real tokens from each row's start on; a part without a column starts at `absent`."""
    whole = [np.full(count, absent, np.int32) if column is None else column for column, count in columns]
    begun: Mask = positions >= np.concatenate(whole)[:, None]
    return (begun & mask).astype(np.int32)


_BUILDERS = {
    "attention_mask": _attention_mask,
    "position_ids": _position_ids,
    "token_type_ids": _token_type_ids,
    "pooling_mask": _pooling_mask,
}
