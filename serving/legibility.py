"""How much of a text a vocabulary knows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from serving.batching.rows import Int32

# What a known token of one character is worth, to a longer one's 1: punctuation, letters, such Chinese characters as an
# English vocabulary happens to have. Not nothing: in a Chinese vocabulary they are the words.
_SINGLE = 0.1
_METASPACE = "▁"


class Legibility:
    """Of one tokenizer. Those without an unknown token, as byte-level BPE that spells everything, know all."""

    def __init__(self, tokenizer: Tokenizer, file: Path) -> None:
        model: dict[str, Any] = json.loads(file.read_text())["model"]  # the library does not show Unigram's unk_id
        token: str | None = model.get("unk_token")
        self._unknown: int | None = model.get("unk_id") if token is None else tokenizer.token_to_id(token)
        self._worth = np.zeros(0, np.float32)
        if self._unknown is not None:
            self._worth = _worth(tokenizer.get_vocab(), model.get("continuing_subword_prefix") or "")
            self._worth[self._unknown] = 0.0

    def unknown_share(self, ids: Int32) -> float:
        """Of the tokens of a text, those that stand for what the vocabulary does not know: 0 to 1, 0 for no tokens.

        Known tokens of a single character count a tenth.
        """
        unknown = 0 if self._unknown is None else int((ids == self._unknown).sum())
        return unknown / (unknown + float(self._worth[ids].sum())) if unknown else 0.0


def _worth(vocabulary: dict[str, int], continuing: str) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """By id."""
    worth = np.ones(max(vocabulary.values()) + 1, np.float32)
    for piece, number in vocabulary.items():
        if len(piece.removeprefix(continuing).replace(_METASPACE, "")) < 2:
            worth[number] = _SINGLE
    return worth
