"""What training minimises: the relevant passage first in its list, and logit 0 as the boundary."""

from __future__ import annotations

import torch
from torch.nn import functional


def ranking_loss(logits: torch.Tensor, boundary_weight: float) -> torch.Tensor:
    """Listwise cross-entropy plus a share of balanced binary cross-entropy.

    Args:
        logits: Float32 [queries, 1 + negatives]; column 0 belongs to the relevant passage.
        boundary_weight: Weight of the binary term, in which the positive counts as much as all its negatives
            together, so that logit 0 (score 0.5) separates relevant from hard but irrelevant.

    Returns:
        A scalar, the mean over the queries, in nats.
    """
    first = torch.zeros(len(logits), dtype=torch.long)
    listwise = functional.cross_entropy(logits, first)
    positive = functional.softplus(-logits[:, 0]).mean()
    negative = functional.softplus(logits[:, 1:]).mean()
    return listwise + boundary_weight * 0.5 * (positive + negative)


def distillation_loss(logits: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """Mean squared distance to the teacher's logits: their order, their margins and their level.

    Args:
        logits: Float32, of any shape.
        taught: The teacher's for the same pairs, of that shape.
    """
    return functional.mse_loss(logits, taught)
