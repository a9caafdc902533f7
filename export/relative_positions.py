"""Relative position buckets (T5, MPNet) as a table instead of a logarithm.

transformers computes a token pair's bucket as the integer part of a logarithm. An engine that works in bf16 or fp16
takes the logarithm in it too, lands in neighbouring buckets, and the logits of a T5 classifier move by 3 instead of
0.3. A bucket depends on the distance alone and is the same from the largest distance on, so a short table says it all.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Above the max_distance of any model in the field (128).
LARGEST_DISTANCE = 1024
_METHODS = ("_relative_position_bucket", "relative_position_bucket")


def tabulate(model: nn.Module) -> None:
    """Replaces the computation of buckets wherever the model has one."""
    for module in model.modules():
        for method in _METHODS:
            if hasattr(module, method):
                setattr(module, method, _lookup(getattr(module, method)))


def _lookup(compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def bucket(relative_position: Tensor, **settings: int | bool) -> Tensor:
        distances = torch.arange(-LARGEST_DISTANCE, LARGEST_DISTANCE + 1)
        table = compute(distances, **settings).detach().clone()
        return table[relative_position.clamp(-LARGEST_DISTANCE, LARGEST_DISTANCE) + LARGEST_DISTANCE]

    return bucket
