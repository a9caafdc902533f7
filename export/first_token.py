"""The last layer of an encoder for the first token alone: a classifier's head reads no other.

The keys and values of all tokens are needed for it; their queries, and all that comes after attention, are not. Of a
model of six layers that is a seventh of the work, and the logits are the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from export.packed_backbone import refusal


@contextmanager
def alone(model: Any) -> Iterator[None]:
    """Inside, hidden states come as [B, 1, H] out of the last layer. An encoder of another build stays as it is."""
    hooks = []
    if not refusal(model.config):
        attention = model.base_model.encoder.layer[-1].attention
        hooks.append(attention.self.query.register_forward_pre_hook(_of_input))
        hooks.append(attention.output.register_forward_pre_hook(_of_residual))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _of_input(module: Any, arguments: tuple[Tensor]) -> tuple[Tensor]:
    return (arguments[0][:, :1],)


def _of_residual(module: Any, arguments: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """What attention found is of the first token already."""
    found, residual = arguments
    return found, residual[:, :1]
