"""Texts to vectors: prompt, tokens, batch, dimensions, dtype. No transport in here."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from services.embed.quantization import Dtype, quantize
from serving.batching import Priority, Rows
from serving.batching.rows import Int32, starts
from serving.errors import InvalidArgument
from serving.model_runtime import ModelRuntime
from serving.tokenization import TokenizerPool, Tokens, cut, surround, windows


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How a request wants its vectors; `truncation` is error, end, start or window.

    `prompts` are put in front of the texts: none, one for all, or one for each.
    """

    prompts: Sequence[str]
    truncation: str
    dtype: Dtype
    dimensions: int
    priority: Priority


@dataclass(frozen=True, slots=True)
class Encoded:
    """vectors: bytes of [n, row_bytes]; lengths int32 [n] in tokens; truncated bool [n]; times in seconds."""

    vectors: bytes
    lengths: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    tokenize_seconds: float
    queue_seconds: float
    compute_seconds: float


class Encoder:
    """The embedding model in service."""

    def __init__(self, runtime: ModelRuntime, tokenizer: TokenizerPool) -> None:
        self._runtime = runtime
        self._model = runtime.model
        self._tokenizer = tokenizer
        self._prefix, self._suffix = tokenizer.special_tokens()

    async def encode(self, texts: Sequence[str], options: EncodeOptions, deadline: float | None) -> Encoded:
        """One vector per text, in order. `deadline` in time.monotonic seconds."""
        started = time.perf_counter()
        prompts = options.prompts
        given = [prompt + text for prompt, text in zip(cycle(prompts), texts, strict=False)] if prompts else texts
        tokens = await self._tokenizer.tokenize(given)
        unpooled = await self._unpooled(prompts, len(texts))
        pieces, counts, truncated = self._fit(tokens, options.truncation)
        rows = self._rows(tokens, pieces, counts, unpooled, options.truncation)
        tokenized = time.perf_counter()
        completed = await self._runtime.batcher.submit(rows, options.priority, deadline)
        vectors = merge(completed.outputs, pieces.lengths, counts, normalized=self._model.normalized)
        return Encoded(
            quantize(shorten(vectors, options.dimensions), options.dtype),
            np.add.reduceat(rows.lengths, starts(counts)),
            truncated,
            tokenized - started,
            completed.queue_seconds,
            completed.compute_seconds,
        )

    async def _unpooled(self, prompts: Sequence[str], count: int) -> Int32 | None:
        """Tokens at each text's beginning that are attended to and not pooled; None for a model that pools all.

        INSTRUCTOR counts the stripped instruction by itself, and does not mask one of a single token.
        """
        if self._model.pools_prompt:
            return None
        if not any(prompts):
            return np.zeros(count, np.int32)
        lengths = (await self._tokenizer.tokenize([prompt.strip() for prompt in prompts])).lengths
        return np.resize(np.where(lengths > 1, lengths, 0).astype(np.int32), count)

    def _fit(self, tokens: Tokens, truncation: str) -> tuple[Tokens, Int32, NDArray[np.bool_]]:
        """What is computed of each text: pieces, how many of them each text gave, which texts were cut."""
        room = self._model.max_tokens - len(self._prefix) - len(self._suffix)
        if truncation == "window":
            pieces, counts = windows(tokens, room, overlap=0)
            return pieces, counts, np.zeros(len(counts), np.bool_)
        pieces, truncated = cut(tokens, room, from_start=truncation == "start")
        if truncation == "error" and truncated.any():
            worst = int(truncated.argmax())
            count = int(tokens.lengths[worst]) + self._model.max_tokens - room
            raise InvalidArgument(
                f"texts[{worst}]",
                f"{count} tokens with prompt and special tokens; the limit is {self._model.max_tokens}",
            )
        return pieces, np.ones_like(tokens.lengths), truncated

    def _rows(self, tokens: Tokens, pieces: Tokens, counts: Int32, unpooled: Int32 | None, truncation: str) -> Rows:
        whole = surround(pieces, self._prefix, self._suffix)
        if unpooled is None:
            return Rows(whole.ids, whole.lengths)
        dropped = tokens.lengths - pieces.lengths if truncation == "start" else 0
        first = np.zeros_like(pieces.lengths)  # the prompt is in each text's first piece
        first[starts(counts)] = np.maximum(unpooled - dropped, 0)
        # The end token is pooled whatever is left of the text.
        pooled = np.minimum(len(self._prefix) + first, whole.lengths - 1).astype(np.int32)
        return Rows(whole.ids, whole.lengths, pooled_starts=pooled)


def merge(vectors: NDArray[np.float32], lengths: Int32, counts: Int32, *, normalized: bool) -> NDArray[np.float32]:
    """One vector per text: the mean of its windows' vectors weighted by their tokens, at unit length for a model whose
    vectors are. A text of one window keeps its vector bit for bit.
    """
    begins = starts(counts)
    merged: NDArray[np.float32] = vectors[begins]
    several = np.flatnonzero(counts > 1)
    for text in several:
        part = slice(begins[text], begins[text] + counts[text])
        merged[text] = np.average(vectors[part], axis=0, weights=lengths[part])
    if normalized:
        norms = np.linalg.norm(merged[several], axis=1, keepdims=True)
        merged[several] /= np.maximum(norms, np.float32(1e-12))
    return merged


def shorten(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """The first `dimensions` of each vector, normalised again (Matryoshka, Kusupati et al. 2022). 0 keeps all."""
    if dimensions in (0, vectors.shape[1]):
        return vectors
    head = vectors[:, :dimensions]
    norms = np.linalg.norm(head, axis=1, keepdims=True)
    shortened: NDArray[np.float32] = head / np.maximum(norms, np.float32(1e-12))
    return shortened
