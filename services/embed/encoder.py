"""Texts to vectors: prompt, tokens, batch, dimensions, dtype. No transport in here."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from services.embed.dense import merge, shorten
from services.embed.quantization import Dtype, quantize, row_bytes
from services.embed.token_outputs import MultiVectors, Output, SparseVectors, multi_vectors, sparse_vectors
from serving.batching import Completed, Priority, Rows
from serving.batching.rows import Int32, starts
from serving.errors import InvalidArgument
from serving.limits import TOO_LONG
from serving.model_runtime import ModelRuntime
from serving.served_model import TOKEN_VECTORS, TOKEN_WEIGHTS
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
    outputs: frozenset[Output] = frozenset({Output.DENSE})


@dataclass(frozen=True, slots=True)
class Encoded:
    """vectors: bytes of [n, row_bytes]; lengths int32 [n] in tokens; truncated bool [n]; windows int32 [n];
    times in seconds.

    What was not asked for is empty, or None.
    """

    vectors: bytes
    sparse: SparseVectors | None
    multi_vectors: MultiVectors | None
    lengths: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    windows: Int32
    tokenize_seconds: float
    queue_seconds: float
    compute_seconds: float


class Encoder:
    """The embedding model in service."""

    def __init__(self, runtime: ModelRuntime, tokenizer: TokenizerPool, max_reply_bytes: int) -> None:
        self._runtime = runtime
        self._model = runtime.model
        self._tokenizer = tokenizer
        self._max_reply_bytes = max_reply_bytes
        self._prefix, self._suffix = tokenizer.special_tokens()
        # By the prompt itself: whoever sends the text of a named prompt gets what the name gives.
        self._shorter = {self._model.prompts[name]: most for name, most in self._model.prompt_max_tokens.items()}

    async def encode(self, texts: Sequence[str], options: EncodeOptions, deadline: float | None) -> Encoded:
        """What the options ask for of each text, in order. `deadline` in time.monotonic seconds."""
        started = time.perf_counter()
        prompts = options.prompts
        given = [prompt + text for prompt, text in zip(cycle(prompts), texts, strict=False)] if prompts else texts
        tokens = await self._tokenizer.tokenize(given)
        unpooled = await self._unpooled(prompts, len(texts))
        pieces, counts, truncated = self._fit(tokens, options)
        rows = self._rows(tokens, pieces, counts, unpooled, options.truncation)
        tokenized = time.perf_counter()
        wanted = self._token_outputs(rows, options)
        completed = await self._runtime.batcher.submit(rows, options.priority, deadline, wanted)
        return Encoded(
            self._dense(completed, pieces, counts, options) if Output.DENSE in options.outputs else b"",
            self._sparse(completed, rows, counts) if Output.SPARSE in options.outputs else None,
            self._multi(completed, rows, counts) if Output.MULTI_VECTOR in options.outputs else None,
            np.add.reduceat(rows.lengths, starts(counts)),
            truncated,
            counts,
            tokenized - started,
            completed.queue_seconds,
            completed.compute_seconds,
        )

    def _token_outputs(self, rows: Rows, options: EncodeOptions) -> tuple[str, ...]:
        """The engine's outputs per token that the request needs. Refuses vectors that would not fit a reply."""
        if Output.MULTI_VECTOR in options.outputs:
            size = rows.tokens * row_bytes(options.dtype, self._model.token_dimensions)
            if size > self._max_reply_bytes:
                found = f"{rows.tokens} tokens, whose vectors have {size} bytes"
                raise InvalidArgument("texts", f"{found}; the limit of a reply is {self._max_reply_bytes}")
        return tuple(name for name in self._model.token_outputs if Output(name) in options.outputs)

    def _dense(self, completed: Completed, pieces: Tokens, counts: Int32, options: EncodeOptions) -> bytes:
        vectors = merge(completed.outputs, pieces.lengths, counts, normalized=self._model.normalized)
        return quantize(shorten(vectors, options.dimensions), options.dtype)

    def _sparse(self, completed: Completed, rows: Rows, counts: Int32) -> SparseVectors:
        return sparse_vectors(rows, counts, completed.tokens[TOKEN_WEIGHTS], self._model.weightless_ids)

    def _multi(self, completed: Completed, rows: Rows, counts: Int32) -> MultiVectors:
        """Without the tokens in front of a text: FlagEmbedding leaves out <s> and keeps </s>."""
        return multi_vectors(rows, counts, completed.tokens[TOKEN_VECTORS], len(self._prefix))

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

    def _fit(self, tokens: Tokens, options: EncodeOptions) -> tuple[Tokens, Int32, NDArray[np.bool_]]:
        """What is computed of each text: pieces, how many of them each text gave, which texts were cut."""
        specials = len(self._prefix) + len(self._suffix)
        if options.truncation == "window":
            pieces, counts = windows(tokens, self._model.max_tokens - specials, overlap=0)
            return pieces, counts, np.zeros(len(counts), np.bool_)
        most = self._most_tokens(options.prompts, len(tokens.lengths))
        pieces, truncated = cut(tokens, most - specials, from_start=options.truncation == "start")
        if options.truncation == "error" and truncated.any():
            worst = int(truncated.argmax())
            found = f"{int(tokens.lengths[worst]) + specials} tokens with prompt and special tokens"
            raise InvalidArgument(f"texts[{worst}]", f"{found}; the limit is {most[worst]}", reason=TOO_LONG)
        return pieces, np.ones_like(tokens.lengths), truncated

    def _most_tokens(self, prompts: Sequence[str], count: int) -> Int32:
        """Of each text: the model's, or its prompt's (LLM-Embedder cuts queries at half of what it takes)."""
        if not (self._shorter and prompts):
            return np.full(count, self._model.max_tokens, np.int32)
        mosts = [self._shorter.get(prompt, self._model.max_tokens) for prompt in prompts]
        return np.resize(np.array(mosts, np.int32), count)

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
