"""A smaller model cut out of a trained one: some of its layers, and of their feed-forward units those that do most."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from transformers import BertForSequenceClassification

from tools.reranker_training.pairs import PairBatch


@torch.inference_mode()
def unit_importance(model: BertForSequenceClassification, batches: Sequence[PairBatch]) -> list[torch.Tensor]:
    """For each layer, how much each feed-forward unit adds to its output, float32 [units].

    That is the mean size of its activation over the tokens of ``batches`` times the norm of its column.
    """
    layers = model.bert.encoder.layer
    with _activations(layers) as seen:
        for batch in batches:
            model.bert(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    return [sums * layer.output.dense.weight.float().norm(dim=0) for sums, layer in zip(seen, layers, strict=True)]


def student_of(
    teacher: BertForSequenceClassification, layers: Sequence[int], units: int, importance: Sequence[torch.Tensor]
) -> BertForSequenceClassification:
    """A float32 model that begins with the teacher's embeddings, head and ``layers``, in this order.

    The embeddings stay as they are: they are two thirds of its weights, and the layers were trained on them.

    Args:
        units: Feed-forward units kept in each layer, those of the greatest importance.
        importance: For each layer of the teacher, float32 [its units].
    """
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers, config.intermediate_size = len(layers), units
    student = BertForSequenceClassification(config)
    student.load_state_dict(_cut_state(teacher, layers, units, importance))
    student.bert.embeddings.requires_grad_(False)
    return student


def _cut_state(
    teacher: BertForSequenceClassification, layers: Sequence[int], units: int, importance: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    inside = "bert.encoder.layer."
    state = {name: tensor for name, tensor in teacher.state_dict().items() if not name.startswith(inside)}
    for place, number in enumerate(layers):
        kept = importance[number].topk(units).indices.sort().values
        for name, tensor in teacher.bert.encoder.layer[number].state_dict().items():
            state[f"{inside}{place}.{name}"] = _cut(name, tensor, kept)
    return state


def _cut(name: str, tensor: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """The rows of the product that makes the units, and the columns of the one that reads them."""
    if name.startswith("intermediate.dense"):
        return tensor[kept]
    return tensor[:, kept] if name == "output.dense.weight" else tensor


@contextmanager
def _activations(layers: Any) -> Iterator[list[torch.Tensor]]:
    """Inside, what the units of each layer give is summed by size, float32 [units] a layer; padding counts too."""
    sums = [torch.zeros(layer.intermediate.dense.out_features) for layer in layers]

    def add(total: torch.Tensor, module: Any, arguments: tuple[torch.Tensor]) -> None:
        total += arguments[0].float().abs().mean(dim=(0, 1))

    hooks = [
        layer.output.dense.register_forward_pre_hook(partial(add, total))
        for layer, total in zip(layers, sums, strict=True)
    ]
    try:
        yield sums
    finally:
        for hook in hooks:
            hook.remove()
