"""The training loop: bfloat16 arithmetic over float32 master weights, one optimiser step per few queries."""

from __future__ import annotations

import copy
import functools
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertForSequenceClassification

from tools.reranker_training.engines import Engine
from tools.reranker_training.mining import TrainingRow
from tools.reranker_training.objective import distillation_loss, ranking_loss
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
        distillation_weight: Weight of the distance to the teacher's logits; 0 without a teacher.
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
    distillation_weight: float = 0.0


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
    """Owns the working models (bfloat16 encoder, float32 head), one for each core, and the master weights.

    Each working model computes the gradients of its share of a step's queries, in a thread and on one core. Cores that
    share every product wait for each other many times a layer, for which a busy machine takes several times as long.
    """

    def __init__(
        self,
        model: BertForSequenceClassification,
        builder: PairBuilder,
        recipe: Recipe,
        cores: int = 1,
        teachers: Sequence[Engine] = (),
    ) -> None:
        """Args: model: Float32 model with one label, converted in place; teachers: one for each core, or none."""
        self._masters = [parameter.detach().clone().float() for parameter in model.parameters()]
        model.train()
        model.bert.bfloat16()
        self._models = [model, *(copy.deepcopy(model) for _ in range(cores - 1))]
        self._threads = ThreadPoolExecutor(cores)
        self._builder = builder
        self._recipe = recipe
        self._teachers = teachers
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
        names = [name for name, _ in self._models[0].named_parameters()]
        partial = path.with_suffix(".partial")
        save_file(dict(zip(names, self._masters, strict=True)), partial)
        partial.rename(path)

    def _step(self, rows: Sequence[TrainingRow], progress: float) -> dict[str, float]:
        lists = [self._pairs(row) for row in rows]
        cores = len(self._models)
        parts = list(self._threads.map(self._gradients, range(cores), [lists[core::cores] for core in range(cores)]))
        rate = self._recipe.learning_rate * learning_rate_factor(progress, self._recipe.warmup)
        self._update(rate)
        loss, first = (sum(part[key] for part in parts) / len(rows) for key in ("loss", "first"))
        return {"loss": round(loss, 4), "first": round(first, 3), "rate": round(rate, 8)}

    def _gradients(self, core: int, lists: Sequence[Sequence[Pair]]) -> dict[str, float]:
        """Adds the gradients of these queries, each its list of pairs, to one model; sums over the queries."""
        pairs = [pair for each in lists for pair in each]
        logits = self._bucketed(pairs, functools.partial(self._logits, self._models[core])).view(len(lists), -1)
        loss = ranking_loss(logits, self._recipe.boundary_weight)
        if self._teachers:
            taught = self._bucketed(pairs, functools.partial(self._taught, self._teachers[core])).view_as(logits)
            loss = loss + self._recipe.distillation_weight * distillation_loss(logits, taught)
        (loss * len(lists) / self._recipe.queries).backward()  # type: ignore[no-untyped-call]
        return {"loss": loss.item() * len(lists), "first": (logits.argmax(dim=1) == 0).sum().item()}

    def _bucketed(self, pairs: Sequence[Pair], forward: Callable[[Sequence[Pair]], torch.Tensor]) -> torch.Tensor:
        return bucketed(pairs, self._recipe.chunks, forward)

    def _pairs(self, row: TrainingRow) -> list[Pair]:
        limit = self._recipe.max_length[row.source]
        passages = [row.positive, *draw_negatives(row, self._recipe.negatives, self._draw)]
        return [self._builder.pair(row.query, passage, limit) for passage in passages]

    def _logits(self, model: BertForSequenceClassification, pairs: Sequence[Pair]) -> torch.Tensor:
        batch = self._builder.batch(pairs)
        pooled = model.bert(batch.input_ids, batch.attention_mask, batch.token_type_ids).pooler_output
        logits: torch.Tensor = model.classifier(pooled.float())[:, 0]
        return logits

    def _taught(self, teacher: Engine, pairs: Sequence[Pair]) -> torch.Tensor:
        return torch.from_numpy(teacher(self._builder.batch(pairs)))

    def _update(self, rate: float) -> None:
        working = list(zip(*(model.parameters() for model in self._models), strict=True))
        for master, copies in zip(self._masters, working, strict=True):
            found = [parameter.grad.float() for parameter in copies if parameter.grad is not None]
            master.grad = functools.reduce(torch.Tensor.add_, found) if found else None
        torch.nn.utils.clip_grad_norm_(self._masters, self._recipe.clip)
        self._optimiser.param_groups[0]["lr"] = rate
        self._optimiser.step()
        with torch.no_grad():
            for master, copies in zip(self._masters, working, strict=True):
                for parameter in filter(_learns, copies):
                    parameter.copy_(master)
                    parameter.grad = None


def _learns(parameter: torch.nn.Parameter) -> bool:
    return parameter.requires_grad


def bucketed(pairs: Sequence[Pair], chunks: int, forward: Callable[[Sequence[Pair]], torch.Tensor]) -> torch.Tensor:
    """Scores pairs in ``chunks`` batches of similar length; float32 [pairs] in the order given."""
    order = sorted(range(len(pairs)), key=lambda index: len(pairs[index]))
    size = -(-len(order) // chunks)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    scores = torch.cat([forward([pairs[index] for index in batch]) for batch in batches])
    return scores[torch.argsort(torch.tensor(order))]
