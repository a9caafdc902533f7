"""(query, passage) pairs to scores: pairs, windows, batch, maximum over windows. No transport in here."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.batching import Priority, Rows
from serving.batching.rows import slices, starts
from serving.errors import InvalidArgument
from serving.limits import TOO_LONG
from serving.model_runtime import ModelRuntime
from serving.served_model import PairLayout
from serving.tokenization import TokenizerPool, Tokens, cut, join, longest_first, surround, windows

# Overlap of the windows of a long passage (BCEmbedding, models/reranker.py): 80 tokens, a quarter of a small window.
LONGEST_OVERLAP = 80
# The template that changes nothing.
PLAIN = "{}"


@dataclass(frozen=True, slots=True)
class Scored:
    """Per passage, in the order sent: logits float32 [n], scores float64 [n], windows int32 [n], truncated bool [n].

    query_unknown: how much of the query the vocabulary does not know (serving/legibility.py); where too much, n is 0
    """

    logits: NDArray[np.float32]
    scores: NDArray[np.float64]
    windows: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    query_truncated: bool
    query_unknown: float
    tokens: int
    tokenize_seconds: float
    queue_seconds: float
    compute_seconds: float

    def ranking(self) -> NDArray[np.intp]:
        """Indices of the passages, best first; ties keep the order sent."""
        return np.argsort(-self.logits, kind="stable")


class Scorer:
    """The cross-encoder in service."""

    def __init__(self, runtime: ModelRuntime, tokenizer: TokenizerPool, max_windows: int) -> None:
        if runtime.model.pair is None:
            raise ValueError(f"{runtime.model.name} is no reranker")
        self._runtime = runtime
        self._pair: PairLayout = runtime.model.pair
        self._tokenizer = tokenizer
        self._max_windows = max_windows

    async def score(
        self,
        query: str,
        passages: Sequence[str],
        long_passage: str,
        priority: Priority,
        deadline: float | None,
        max_unknown: float = 1.0,
    ) -> Scored:
        """`long_passage` is window, truncate or error; `deadline` in time.monotonic seconds.

        Nothing is computed of a query of which a larger share is unknown than `max_unknown`.
        """
        started = time.perf_counter()
        tokens = await self._tokenizer.tokenize(self._texts(query, passages))
        unknown = self._tokenizer.legibility.unknown_share(tokens.of(0))
        if unknown > max_unknown:
            return _unread(unknown, time.perf_counter() - started)
        rows, counts, truncated, query_truncated = self._rows(tokens, long_passage)
        tokenized = time.perf_counter()
        completed = await self._runtime.batcher.submit(rows, priority, deadline)
        logits = np.maximum.reduceat(completed.outputs[:, 0], starts(counts))
        return Scored(
            logits,
            sigmoid(logits),
            counts,
            truncated,
            query_truncated,
            unknown,
            rows.tokens,
            tokenized - started,
            completed.queue_seconds,
            completed.compute_seconds,
        )

    def _texts(self, query: str, passages: Sequence[str]) -> list[str]:
        """As the model wants to read them: a language model is told which is which."""
        pair = self._pair
        if pair.query_text == pair.passage_text == PLAIN:
            return [query, *passages]
        return [pair.query_text.replace(PLAIN, query), *(pair.passage_text.replace(PLAIN, text) for text in passages)]

    def _rows(self, tokens: Tokens, long_passage: str) -> tuple[Rows, NDArray[np.int32], NDArray[np.bool_], bool]:
        """Pairs, windows per passage, passages cut, whether the query was cut. tokens: the query's, then passages'."""
        pair = self._pair
        passages = Tokens(tokens.ids[tokens.lengths[0] :], tokens.lengths[1:])
        if long_passage == "truncate" and pair.truncation == "longest_first":
            return self._longest_first(tokens.of(0), passages)
        query = tokens.of(0)[: pair.max_query_tokens]
        room = self._runtime.model.max_tokens - pair.specials - len(query)
        room = min(room, pair.max_passage_tokens or room)
        pieces, counts, truncated = self._fit(passages, room, long_passage)
        head = np.concatenate([pair.prefix, query, pair.middle]).astype(np.int32)
        whole = surround(pieces, head, pair.suffix)
        second = np.full(len(whole.lengths), len(head), np.int32) if pair.segment_ids else None
        query_truncated = bool(tokens.lengths[0] > len(query))
        return Rows(whole.ids, whole.lengths, second), counts, truncated, query_truncated

    def _longest_first(
        self, query: NDArray[np.int32], passages: Tokens
    ) -> tuple[Rows, NDArray[np.int32], NDArray[np.bool_], bool]:
        """One row a passage; each pair is cut by itself, so the query may be longer in one row than in another."""
        pair = self._pair
        room = self._runtime.model.max_tokens - pair.specials
        of_query, of_passage = longest_first(len(query), passages.lengths, room)
        fronts = surround(Tokens(slices(query, np.zeros_like(of_query), of_query), of_query), pair.prefix, pair.middle)
        kept = Tokens(slices(passages.ids, starts(passages.lengths), of_passage), of_passage)
        whole = join(fronts, surround(kept, (), pair.suffix))
        rows = Rows(whole.ids, whole.lengths, fronts.lengths if pair.segment_ids else None)
        return rows, np.ones_like(of_query), of_passage < passages.lengths, bool((of_query < len(query)).any())

    def _fit(
        self, passages: Tokens, room: int, long_passage: str
    ) -> tuple[Tokens, NDArray[np.int32], NDArray[np.bool_]]:
        if long_passage == "window":
            pieces, counts = windows(passages, room, min(LONGEST_OVERLAP, room // 4))
            if len(pieces.lengths) > self._max_windows:
                found = f"{len(pieces.lengths)} windows of {room} tokens"
                problem = f"{found}; the limit is {self._max_windows} per request"
                raise InvalidArgument("passages", problem, reason=TOO_LONG)
            return pieces, counts, np.zeros(len(counts), np.bool_)
        pieces, truncated = cut(passages, room)
        if long_passage == "error" and truncated.any():
            worst = int(truncated.argmax())
            count = int(passages.lengths[worst])
            problem = f"{count} tokens; beside this query the limit is {room}"
            raise InvalidArgument(f"passages[{worst}]", problem, reason=TOO_LONG)
        return pieces, np.ones(len(truncated), np.int32), truncated


def _unread(unknown: float, tokenize_seconds: float) -> Scored:
    """Of a query that the model cannot read: no passage has a score."""
    logits = np.empty(0, np.float32)
    none = np.empty(0, np.int32)
    return Scored(logits, sigmoid(logits), none, none.astype(np.bool_), False, unknown, 0, tokenize_seconds, 0.0, 0.0)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """In double precision, so that distinct logits give distinct scores (bf16 saturates at 1.0)."""
    scores: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64)))
    return scores
