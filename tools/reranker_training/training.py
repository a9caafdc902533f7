"""The training loop: bfloat16 arithmetic over float32 master weights, one optimiser step per few queries."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertForSequenceClassification

from tools.reranker_training.mining import TrainingRow
from tools.reranker_training.objective import ranking_loss
from tools.reranker_training.pairs import Pair, PairBuilder

RANK_OFFSET = 10


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome besides the data.

    Attributes:
        steps: Optimiser steps planned.
        minutes: Wall-clock budget; the learning rate falls with whichever of the two runs out first.
        queries: Queries per step.
        negatives: Negatives per query, drawn without replacement with weight 1 / (rank + 10).
        max_length: Longest pair in tokens, by set.
        shares: Share of the rows of a step's queue, by set.
    """

    seed: int
    steps: int
    minutes: float
    queries: int
    negatives: int
    learning_rate: float
    weight_decay: float
    warmup: float
    clip: float
    boundary_weight: float
    chunks: int
    max_length: dict[str, int]
    shares: dict[str, float]


def learning_rate_factor(progress: float, warmup: float) -> float:
    """Linear rise over the first ``warmup`` of the run, then linear fall to 0 at progress 1."""
    if progress < warmup:
        return progress / warmup
    return max(0.0, (1.0 - progress) / (1.0 - warmup))


def row_queue(rows: Sequence[TrainingRow], shares: dict[str, float], draw: random.Random) -> Iterator[TrainingRow]:
    """Rows without end: the set by its share, then the next row of that set's shuffled order."""
    by_set = {name: [row for row in rows if row.source == name] for name in shares}
    orders = {name: _shuffled_forever(members, draw) for name, members in by_set.items()}
    while True:
        yield next(orders[draw.choices(list(shares), list(shares.values()))[0]])


def _shuffled_forever(rows: list[TrainingRow], draw: random.Random) -> Iterator[TrainingRow]:
    while True:
        yield from draw.sample(rows, len(rows))


def draw_negatives(row: TrainingRow, count: int, draw: random.Random) -> list[str]:
    """``count`` different negatives, the higher ranked the likelier (exponential keys, Efraimidis and Spirakis)."""
    keys = [draw.random() ** (rank + RANK_OFFSET) for rank in range(len(row.negatives))]
    chosen = sorted(range(len(keys)), key=lambda rank: -keys[rank])[:count]
    return [row.negatives[rank] for rank in chosen]


class Trainer:
    """Owns the working model (bfloat16 encoder, float32 head) and the master weights."""

    def __init__(self, model: BertForSequenceClassification, builder: PairBuilder, recipe: Recipe) -> None:
        """Args: model: Float32 model with one label; it is converted in place."""
        self._masters = [parameter.detach().clone().float() for parameter in model.parameters()]
        self._model = model.train()
        self._model.bert.bfloat16()
        self._builder = builder
        self._recipe = recipe
        self._draw = random.Random(recipe.seed)
        self._optimiser = torch.optim.AdamW(
            self._masters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )

    def run(self, rows: Sequence[TrainingRow], folder: Path, every: int) -> list[dict[str, float]]:
        """Trains; writes ``curve.jsonl`` line by line and ``checkpoint.safetensors`` every ``every`` steps."""
        queue = row_queue(rows, self._recipe.shares, self._draw)
        curve: list[dict[str, float]] = []
        started, progress, step = time.monotonic(), 0.0, 0
        with (folder / "curve.jsonl").open("w", encoding="utf-8") as lines:
            while progress < 1.0:
                curve.append(self._step([next(queue) for _ in range(self._recipe.queries)], progress))
                step, seconds = step + 1, time.monotonic() - started
                progress = max(step / self._recipe.steps, seconds / 60 / self._recipe.minutes)
                curve[-1] |= {"step": step, "seconds": round(seconds, 1)}
                lines.write(json.dumps(curve[-1]) + "\n")
                lines.flush()
                if step % every == 0 or progress >= 1.0:
                    self.save(folder / "checkpoint.safetensors")
        return curve

    def save(self, path: Path) -> None:
        """Writes the master weights, float32, through a temporary file so that a reader sees a whole one."""
        names = [name for name, _ in self._model.named_parameters()]
        partial = path.with_suffix(".partial")
        save_file(dict(zip(names, self._masters, strict=True)), partial)
        partial.rename(path)

    def _step(self, rows: Sequence[TrainingRow], progress: float) -> dict[str, float]:
        pairs = [pair for row in rows for pair in self._pairs(row)]
        logits = bucketed(pairs, self._recipe.chunks, self._logits).view(len(rows), -1)
        loss = ranking_loss(logits, self._recipe.boundary_weight)
        loss.backward()  # type: ignore[no-untyped-call]
        rate = self._recipe.learning_rate * learning_rate_factor(progress, self._recipe.warmup)
        self._update(rate)
        first = (logits.argmax(dim=1) == 0).float().mean()
        return {"loss": round(loss.item(), 4), "first": round(first.item(), 3), "rate": round(rate, 8)}

    def _pairs(self, row: TrainingRow) -> list[Pair]:
        limit = self._recipe.max_length[row.source]
        passages = [row.positive, *draw_negatives(row, self._recipe.negatives, self._draw)]
        return [self._builder.pair(row.query, passage, limit) for passage in passages]

    def _logits(self, pairs: Sequence[Pair]) -> torch.Tensor:
        batch = self._builder.batch(pairs)
        pooled = self._model.bert(batch.input_ids, batch.attention_mask, batch.token_type_ids).pooler_output
        logits: torch.Tensor = self._model.classifier(pooled.float())[:, 0]
        return logits

    def _update(self, rate: float) -> None:
        working = list(self._model.parameters())
        for master, parameter in zip(self._masters, working, strict=True):
            master.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self._masters, self._recipe.clip)
        self._optimiser.param_groups[0]["lr"] = rate
        self._optimiser.step()
        with torch.no_grad():
            for master, parameter in zip(self._masters, working, strict=True):
                parameter.copy_(master)


def bucketed(pairs: Sequence[Pair], chunks: int, forward: Callable[[Sequence[Pair]], torch.Tensor]) -> torch.Tensor:
    """Scores pairs in ``chunks`` batches of similar length; float32 [pairs] in the order given."""
    order = sorted(range(len(pairs)), key=lambda index: len(pairs[index]))
    size = -(-len(order) // chunks)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    scores = torch.cat([forward([pairs[index] for index in batch]) for batch in batches])
    return scores[torch.argsort(torch.tensor(order))]
