"""Rotary positions as tables of cosines and sines.

transformers multiplies positions and frequencies in fp32, whatever the model computes in. An engine that works in fp16
does this in it too, where position 500 is known to a quarter only: vectors of 512 tokens moved by 1e-2 instead of 1e-3.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Cosines = tuple[Tensor, Tensor]


def tabulate(model: nn.Module, longest: int) -> None:
    """Replaces the computation wherever the model has one, for rows of up to `longest` tokens."""
    tables: dict[bytes, Cosines] = {}
    for module in model.modules():
        if type(module).__name__.endswith("RotaryEmbedding"):
            frequencies = module.inv_freq.numpy().tobytes()  # type: ignore[union-attr, operator]
            if frequencies not in tables:  # one for all layers that share them
                cosines, sines = module(torch.zeros(1), torch.arange(longest)[None])
                tables[frequencies] = cosines[0].clone(), sines[0].clone()
            module.forward = _lookup(*tables[frequencies])


def _lookup(cosines: Tensor, sines: Tensor) -> Callable[[Tensor, Tensor], Cosines]:
    def forward(x: Tensor, position_ids: Tensor) -> Cosines:
        return cosines[position_ids].to(x.dtype), sines[position_ids].to(x.dtype)

    return forward
