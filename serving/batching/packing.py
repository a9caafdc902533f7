"""Rows of several requests one after the other: no padded matrix is built, and no loop over tokens is run.

Sequences are told apart by cu_seqlens, where each begins. So that shapes repeat on a GPU, T is there rounded up to a
bucket by one more sequence of padding that nobody asks an answer of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.batching.layout import Batch
from serving.batching.rows import Int32, Rows

# Up to so many tokens, in steps of so many: from 128 tokens on less than a fifth is padding.
BUCKETS = ((256, 32), (1024, 64), (4096, 256), (1 << 31, 512))


def bucket(tokens: int) -> int:
    """T of a batch of so many tokens."""
    step = next(step for most, step in BUCKETS if tokens <= most)
    return -(-tokens // step) * step


@dataclass(frozen=True, slots=True)
class PackedLayout:
    """What the graph wants: names of its inputs (see export/packed_graph.py), padding id, id of the first position.

    Without `in_steps` T is any number.
    """

    inputs: tuple[str, ...]
    pad_token_id: int
    position_offset: int = 0
    in_steps: bool = True
    mixes_lengths: ClassVar[bool] = True

    def batch(self, parts: Sequence[Rows], token_outputs: tuple[str, ...] = ()) -> Batch:
        """One after the other, then the sequence of padding if there must be one."""
        lengths = np.concatenate([rows.lengths for rows in parts])
        packing = _Packing(self, parts, lengths, sum(rows.tokens for rows in parts))
        arrays = {name: _BUILDERS[name](packing) for name in self.inputs}
        return Batch(arrays, lengths, packing.tokens, packing.computed, token_outputs)

    def unpack(self, values: NDArray[np.float32], lengths: Int32) -> NDArray[np.float32]:
        """[T, ...] to [sum(lengths), ...]."""
        return values[: int(lengths.sum())]


class _Packing:
    """A batch that is being built: `ends` int32 [S + 1] of all its sequences, the one of padding included."""

    def __init__(self, layout: PackedLayout, parts: Sequence[Rows], lengths: Int32, tokens: int) -> None:
        self.layout, self.parts, self.rows, self.tokens = layout, parts, len(lengths), tokens
        self.computed = bucket(tokens) if layout.in_steps else tokens
        filler = np.full(int(self.computed > tokens), self.computed - tokens, np.int32)
        self.lengths = np.concatenate([lengths, filler])
        self.ends = np.concatenate([np.zeros(1, np.int32), np.cumsum(self.lengths, dtype=np.int32)])

    def repeated(self, column: Int32) -> Int32:
        """A number of each sequence, [S], as one of each of its tokens, [T]."""
        return np.repeat(column, self.lengths)

    def places(self) -> Int32:
        """Of each token in its sequence, from 0."""
        return np.arange(self.computed, dtype=np.int32) - self.repeated(self.ends[:-1])


def _input_ids(packing: _Packing) -> Int32:
    padding = np.full(packing.computed - packing.tokens, packing.layout.pad_token_id, np.int32)
    return np.concatenate([*(rows.ids for rows in packing.parts), padding])


def _position_ids(packing: _Packing) -> Int32:
    """From 0; or, as RoBERTa and its kin count, from pad + 1, with every pad token (also one in the text) at pad."""
    offset = packing.layout.position_offset
    if offset == 0:
        numbered: Int32 = packing.places()
        numbered[packing.tokens :] = 0
        return numbered
    counted = _input_ids(packing) != packing.layout.pad_token_id
    before = np.concatenate([np.zeros(1, np.int32), np.cumsum(counted, dtype=np.int32)])
    within = before[1:] - packing.repeated(before[packing.ends[:-1]])
    placed: Int32 = within * counted + np.int32(offset - 1)
    return placed


def _token_type_ids(packing: _Packing) -> Int32:
    """1 on real tokens from each row's second segment on."""
    never = packing.computed
    columns = [np.full(len(p), never, np.int32) if p.second_starts is None else p.second_starts for p in packing.parts]
    starts = np.concatenate([*columns, np.full(len(packing.lengths) - packing.rows, never, np.int32)])
    return (packing.places() >= packing.repeated(starts)).astype(np.int32)


def _token_offset(packing: _Packing) -> Int32:
    """Slots of the tokens in a matrix [S, longest], then those of its padding: what the operator asks for."""
    longest = int(packing.lengths.max())
    slots = np.arange(len(packing.lengths) * longest, dtype=np.int32).reshape(-1, longest)
    real = np.arange(longest) < packing.lengths[:, None]
    offset: Int32 = np.concatenate([slots[real], slots[~real]]).reshape(slots.shape)
    return offset


def _cu_seqlens(packing: _Packing) -> Int32:
    return packing.ends


def _row_numbers(packing: _Packing) -> Int32:
    return np.arange(packing.rows, dtype=np.int32)


def _token_rows(packing: _Packing) -> Int32:
    return packing.repeated(np.arange(len(packing.lengths), dtype=np.int32))


_BUILDERS = {
    "input_ids": _input_ids,
    "position_ids": _position_ids,
    "token_type_ids": _token_type_ids,
    "token_offset": _token_offset,
    "cu_seqlens": _cu_seqlens,
    "row_numbers": _row_numbers,
    "token_rows": _token_rows,
}
