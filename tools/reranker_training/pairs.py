"""Query-passage pairs as token ids: BERT's [CLS] query [SEP] passage [SEP], padded per batch, and windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from tools.reranker_training.embedder import padded_length

SPECIALS = 3
MAX_OVERLAP = 80
MAX_QUERY_TOKENS = 128


@dataclass(frozen=True)
class Pair:
    """Token ids without special tokens; the passage already fits."""

    query: tuple[int, ...]
    passage: tuple[int, ...]

    def __len__(self) -> int:
        """Tokens of the assembled pair, special tokens included."""
        return len(self.query) + len(self.passage) + SPECIALS


@dataclass(frozen=True)
class PairBatch:
    """Three int64 tensors of one shape [pairs, padded length]."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    token_type_ids: torch.Tensor


class PairBuilder:
    """Builds pairs and remembers the tokens of each text it has seen."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Args: tokenizer: A word-piece tokenizer that does not cut."""
        self._tokenizer = tokenizer
        self._seen: dict[str, tuple[int, ...]] = {}
        self.specials = {name: tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]", "[PAD]")}

    def tokens(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, without special tokens."""
        if text not in self._seen:
            self._seen[text] = tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)
        return self._seen[text]

    def pair(self, query: str, passage: str, max_length: int) -> Pair:
        """One pair of at most ``max_length`` tokens; only the passage is cut (a query over 128 tokens too)."""
        head = self.tokens(query)[:MAX_QUERY_TOKENS]
        return Pair(head, self.tokens(passage)[: max_length - len(head) - SPECIALS])

    def windows(self, query: str, passage: str, max_length: int) -> list[Pair]:
        """The windows of a passage, first one first; a passage that fits has one.

        Neighbours overlap by min(80, room // 4) tokens, where room is what the query leaves (the rule of BCEmbedding).
        """
        head, tail = self.tokens(query)[:MAX_QUERY_TOKENS], self.tokens(passage)
        return [Pair(head, tail[start:end]) for start, end in window_spans(len(head), len(tail), max_length)]

    def batch(self, pairs: Sequence[Pair]) -> PairBatch:
        """Pads pairs to the longest of them, rounded up to a multiple of 32 tokens."""
        shape = (len(pairs), padded_length(max(map(len, pairs))))
        ids = torch.full(shape, self.specials["[PAD]"], dtype=torch.long)
        mask, types = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
        for row, pair in enumerate(pairs):
            ids[row, : len(pair)] = torch.tensor(self._assembled(pair))
            mask[row, : len(pair)] = 1
            types[row, len(pair.query) + 2 : len(pair)] = 1
        return PairBatch(ids, mask, types)

    def _assembled(self, pair: Pair) -> list[int]:
        separator = self.specials["[SEP]"]
        return [self.specials["[CLS]"], *pair.query, separator, *pair.passage, separator]


def window_spans(query_tokens: int, passage_tokens: int, max_length: int) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each window of a passage, in tokens."""
    room = max_length - query_tokens - SPECIALS
    step = room - min(MAX_OVERLAP, room // 4)
    starts = [0]
    while starts[-1] + room < passage_tokens:
        starts.append(starts[-1] + step)
    return [(start, min(start + room, passage_tokens)) for start in starts]
