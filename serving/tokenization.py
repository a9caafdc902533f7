"""Texts to token ids: in the Rust tokenizer's threads, off the event loop, each text once.

Texts of all requests that arrive while one batch is being tokenised make the next batch, so that a service
under load pays for the way to the worker thread once per batch and not once per request.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from serving.batching.rows import Int32, slices, starts
from serving.errors import Unavailable
from serving.legibility import Legibility

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids of n texts, concatenated, without special tokens: ids int32 [T], lengths int32 [n]."""

    ids: Int32
    lengths: Int32

    def of(self, index: int) -> Int32:
        """The ids of one text."""
        begin = int(self.lengths[:index].sum())
        return self.ids[begin : begin + int(self.lengths[index])]


@dataclass(slots=True)
class _Job:
    texts: Sequence[str]
    done: "asyncio.Future[Tokens]"


class TokenizerPool:
    """One tokenizer and the thread that drives it. Must be used from one event loop."""

    def __init__(self, tokenizer_file: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self.legibility = Legibility(self._tokenizer, tokenizer_file)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokenize")
        self._jobs: list[_Job] = []
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def vocabulary_size(self) -> int:
        """Added tokens included."""
        return int(self._tokenizer.get_vocab_size())

    def special_tokens(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids that the tokenizer puts before and after a text."""
        encoding = self._tokenizer.encode("a")
        mask = encoding.special_tokens_mask
        first = mask.index(0)
        last = len(mask) - mask[::-1].index(0)
        return tuple(encoding.ids[:first]), tuple(encoding.ids[last:])

    def close(self) -> None:
        """Fails what waits, and all that comes; what is being tokenised is still answered."""
        self._closed = True
        jobs, self._jobs = self._jobs, []
        _fail(jobs, _CLOSED)
        self._thread.shutdown(wait=False)

    async def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Token ids of texts, nothing added, nothing cut. Special tokens written in a text are special tokens."""
        if self._closed:
            raise _CLOSED
        job = _Job(texts, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await job.done

    async def encodings(self, texts: Sequence[str], add_special_tokens: bool) -> list[Encoding]:
        """Texts with everything that the tokenizer knows of their tokens; offsets in characters."""
        return await self._in_thread(self._tokenizer.encode_batch, list(texts), add_special_tokens=add_special_tokens)

    async def decode(self, ids: Sequence[Sequence[int]], skip_special_tokens: bool) -> list[str]:
        """Token ids to texts."""
        return await self._in_thread(
            self._tokenizer.decode_batch, [list(each) for each in ids], skip_special_tokens=skip_special_tokens
        )

    async def _in_thread(self, call: Callable[..., list[T]], *arguments: Any, **options: Any) -> list[T]:
        if self._closed:
            raise _CLOSED
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(call, *arguments, **options))

    async def _work(self) -> None:
        while jobs := [job for job in self._jobs if not job.done.done()]:
            self._jobs = []
            texts = list(chain.from_iterable(job.texts for job in jobs))
            try:
                tokens = await asyncio.get_running_loop().run_in_executor(self._thread, self._encode, texts)
            except Exception as error:
                _fail(jobs, error)
            else:
                _hand_out(jobs, tokens)
        self._jobs.clear()
        self._worker = None

    def _encode(self, texts: list[str]) -> Tokens:
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        ids = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, ids), np.int32, len(ids))
        return Tokens(np.fromiter(chain.from_iterable(ids), np.int32, int(lengths.sum())), lengths)


_CLOSED = Unavailable("the server is shutting down")


def _fail(jobs: Sequence[_Job], error: Exception) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_exception(error)


def _hand_out(jobs: Sequence[_Job], tokens: Tokens) -> None:
    """Gives each job its share of a tokenised batch, as views."""
    row = token = 0
    for job in jobs:
        lengths = tokens.lengths[row : row + len(job.texts)]
        total = int(lengths.sum())
        if not job.done.done():
            job.done.set_result(Tokens(tokens.ids[token : token + total], lengths))
        row, token = row + len(job.texts), token + total


def cut(tokens: Tokens, room: int | Int32, *, from_start: bool = False) -> tuple[Tokens, NDArray[np.bool_]]:
    """At most `room` tokens of each text, dropping at the end (or at the start); which texts were cut: bool [n].

    `room` is one for all texts, or one for each: int32 [n].
    """
    over = tokens.lengths > room
    if not over.any():
        return tokens, over
    lengths = np.minimum(tokens.lengths, room).astype(np.int32)
    skip = (tokens.lengths - lengths) if from_start else np.zeros_like(lengths)
    return Tokens(slices(tokens.ids, starts(tokens.lengths) + skip, lengths), lengths), over


def surround(tokens: Tokens, prefix: Sequence[int] | Int32, suffix: Sequence[int] | Int32) -> Tokens:
    """Each text with `prefix` before and `suffix` after it."""
    lengths = tokens.lengths + np.int32(len(prefix) + len(suffix))
    begins = starts(lengths)[:, None]
    before = begins + np.arange(len(prefix), dtype=np.int32)
    after: Int32 = begins + lengths[:, None] - np.arange(len(suffix), 0, -1, dtype=np.int32)
    ids = np.empty(int(lengths.sum()), np.int32)
    inner = np.ones(len(ids), np.bool_)
    inner[before] = inner[after] = False
    ids[before], ids[after], ids[inner] = prefix, suffix, tokens.ids
    return Tokens(ids, lengths)


def join(first: Tokens, second: Tokens) -> Tokens:
    """Row by row, the tokens of one and then those of the other."""
    lengths = first.lengths + second.lengths
    ids = np.empty(len(first.ids) + len(second.ids), np.int32)
    in_first = np.repeat(np.tile([True, False], len(lengths)), np.stack([first.lengths, second.lengths], 1).ravel())
    ids[in_first], ids[~in_first] = first.ids, second.ids
    return Tokens(ids, lengths)


def longest_first(first: int, seconds: Int32, room: int) -> tuple[Int32, Int32]:
    """How many tokens of a text of `first` tokens, and of each that it is paired with, are kept in `room` tokens.

    The shorter stays whole while it takes no more than half; else each gets half, the longer the odd one. This is
    LongestFirst of the tokenizers library (utils/truncation.rs), and so of transformers, CrossEncoder and BCEmbedding.
    """
    firsts = np.full_like(seconds, first)
    shorter, longer = np.minimum(firsts, seconds), np.maximum(firsts, seconds)
    kept_longer = np.maximum(shorter, room - shorter)
    halves = shorter + kept_longer > room
    shorter, kept_longer = np.where(halves, room // 2, shorter), np.where(halves, room - room // 2, kept_longer)
    kept_longer = np.minimum(longer, kept_longer)
    swapped = firsts > seconds
    fits = firsts + seconds <= room
    of_first = np.where(fits, firsts, np.where(swapped, kept_longer, shorter)).astype(np.int32)
    of_second = np.where(fits, seconds, np.where(swapped, shorter, kept_longer)).astype(np.int32)
    return of_first, of_second


def windows(tokens: Tokens, room: int, overlap: int) -> tuple[Tokens, Int32]:
    """Texts longer than `room` tokens as overlapping windows (BCEmbedding, models/utils.py).

    Windows are [0, room), then each begins `overlap` before the end of the one in front, until the text's end.
    Returns the windows and, int32 [n], how many each text gave (1 for a text that fits, empty ones included).
    """
    step = room - overlap
    counts = (1 + np.maximum(0, -(-(tokens.lengths - room) // step))).astype(np.int32)
    number = np.arange(int(counts.sum()), dtype=np.int32) - np.repeat(starts(counts), counts)
    begins = number * np.int32(step)
    lengths = np.minimum(np.repeat(tokens.lengths, counts) - begins, room).astype(np.int32)
    pieces = slices(tokens.ids, np.repeat(starts(tokens.lengths), counts) + begins, lengths)
    return Tokens(pieces, lengths), counts
