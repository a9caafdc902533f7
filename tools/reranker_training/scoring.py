"""Scores pairs with the shipped weights in process, as a service would: logits of windows, best window per passage."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.reranker_training.embedder import padded_length, read_tokenizer
from tools.reranker_training.engines import Engine
from tools.reranker_training.pairs import Pair, PairBuilder

BATCH_TOKENS = 4096


@dataclass(frozen=True)
class PassageScores:
    """Logits of one query's passages, float32 [passages] each: the first window alone, and the best of all windows."""

    first: NDArray[np.float32]
    best: NDArray[np.float32]


class Scorer:
    """A reranker behind its tokenizer; counts the pairs and seconds spent."""

    def __init__(self, tokenizer: Path, engine: Engine, max_length: int) -> None:
        """Args: tokenizer: The ``tokenizer.json``; max_length: longest pair in tokens, special tokens included."""
        self._engine = engine
        self._builder = PairBuilder(read_tokenizer(tokenizer))
        self._max_length = max_length
        self.seconds = 0.0
        self.pairs = 0

    def score(self, query: str, passages: Sequence[str]) -> PassageScores:
        """Scores every window of every passage."""
        windows = [self._builder.windows(query, passage, self._max_length) for passage in passages]
        logits = self.logits([window for group in windows for window in group])
        ends = np.cumsum([len(group) for group in windows])
        groups = np.split(logits, ends[:-1])
        first = np.array([group[0] for group in groups], dtype=np.float32)
        best = np.array([group.max() for group in groups], dtype=np.float32)
        return PassageScores(first, best)

    def logits(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """Float32 [pairs], in the order given; batches hold pairs of similar length."""
        started = time.monotonic()
        order = sorted(range(len(pairs)), key=lambda index: len(pairs[index]))
        scores = np.empty(len(pairs), dtype=np.float32)
        while order:
            count = max(1, BATCH_TOKENS // padded_length(len(pairs[order[-1]])))
            order, batch = order[:-count], order[-count:]
            scores[batch] = self._engine(self._builder.batch([pairs[index] for index in batch]))
        self.seconds += time.monotonic() - started
        self.pairs += len(pairs)
        return scores
