"""A model of random weights, what it is asked, and what torch answers in fp32."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel

from benchmarks.random_models import Shape
from export.exporter import export
from export.graph_writer import Wish
from export.source import Source
from serving.batching import Rows
from serving.batching.rows import take
from serving.served_model import ServedModel

SEED = 20261122
BATCH_TOKENS = 16_384
COMPARED = 8
# Ids of the tokenizer of random_models: [CLS], [SEP], and single letters from "!" on.
CLS, SEP, FIRST_LETTER, LETTERS = 2, 3, 4, 94

Vectors = NDArray[np.float32]
# One pass over some rows: their vectors, in order.
Pass = Callable[[], Vectors]
# What computes: makes a pass for rows. Its batches are formed, and its texts made, before that.
Computer = Callable[[Rows], Pass]


class Unable(Exception):
    """Something can't run on this machine; why."""


@dataclass(frozen=True)
class Subject:
    """`folder` is for what is exported."""

    shape: Shape
    folder: Path
    device: torch.device

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @cached_property
    def source(self) -> Source:
        return Source(self.shape.write(self.folder / "source"), self.shape.name)

    @cached_property
    def served(self) -> ServedModel:
        """What a service serves here: packed, in fp16 where that is exact enough; on a CPU padded."""
        return self._export(Wish("packed") if self.on_gpu else Wish(), "served")

    @cached_property
    def padded(self) -> ServedModel:
        return self._export(Wish(), "padded")

    def version(self, model: ServedModel) -> Path:
        return self.folder / model.name / "repository" / model.name / "1"

    @cached_property
    def original(self) -> Any:
        folder = self.source.folder
        return AutoModel.from_pretrained(folder, attn_implementation="sdpa", add_pooling_layer=False).eval()

    def reference(self, rows: Rows) -> Vectors:
        """Of the first few rows, one by one."""
        found = [self._alone(take(rows, np.array([index])).ids) for index in range(COMPARED)]
        return np.stack([vector / np.linalg.norm(vector) for vector in found])

    def flops(self, rows: Rows) -> float:
        """Of products and attention; the rest is none of the matrix units' work."""
        products = 24 * self.shape.layers * self.shape.hidden**2 * rows.tokens
        return products + 4 * self.shape.layers * self.shape.hidden * float((rows.lengths.astype(float) ** 2).sum())

    def _export(self, wish: Wish, name: str) -> ServedModel:
        return export(self.source, self.folder, self.shape.entry(), name=name, report=print, wish=wish)

    def _alone(self, ids: NDArray[np.int32]) -> Vectors:
        with torch.inference_mode():
            hidden: Vectors = self.original(input_ids=torch.from_numpy(ids)[None])[0][0, 0].numpy()
        return hidden


def workloads(scale: float) -> dict[str, Rows]:
    """All of 50, all of 512, log-normal with mean 180, and a query of 16 with each of 100 passages."""
    random = np.random.default_rng(SEED)
    mixed = np.exp(random.normal(np.log(180) - 0.245, 0.7, 2048)).clip(8, 512).astype(int)
    passages = (16 + np.exp(random.normal(np.log(184) - 0.08, 0.4, 100))).clip(24, 512).astype(int)
    found = {"S50": [50] * 4096, "S512": [512] * 512, "MIX": mixed.tolist(), "RR100": passages.tolist()}
    return {name: rows_of(lengths[: max(COMPARED, int(len(lengths) * scale))]) for name, lengths in found.items()}


def rows_of(lengths: Sequence[int]) -> Rows:
    """Of random letters between [CLS] and [SEP]."""
    counts = np.array(lengths, np.int32)
    ids = np.random.default_rng(SEED).integers(FIRST_LETTER, FIRST_LETTER + LETTERS, counts.sum(), dtype=np.int32)
    ends = np.cumsum(counts)
    ids[ends - counts], ids[ends - 1] = CLS, SEP
    return Rows(ids, counts)


def texts_of(rows: Rows) -> list[str]:
    """Texts that the tokenizer makes these rows of."""
    parts = np.split(rows.ids, np.cumsum(rows.lengths)[:-1])
    return [" ".join(chr(ord("!") + token - FIRST_LETTER) for token in part[1:-1]) for part in parts]


@contextmanager
def computing(computer: Computer) -> Iterator[Computer]:
    """One that has nothing to close."""
    yield computer
