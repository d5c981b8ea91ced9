"""Labels that the network in training gives to generated images of nobody."""

from __future__ import annotations

import torch
from torch import Tensor

from manifests.format.soft_labels import rank_values


def dynamic_mprl(logits: Tensor) -> Tensor:
    """`manifests.format.soft_labels.mprl` over all classes by ``logits`` (N, K): (N, K) float32, without gradient.

    Huang et al., "Multi-pseudo Regularized Label for Generated Data in Person Re-Identification" (IEEE TIP 2019), the
    dynamic form: the ranks are those of the network at this step.
    """
    order = logits.detach().float().argsort(dim=1, descending=True, stable=True)
    values = torch.from_numpy(rank_values(logits.shape[1])).to(logits.device, torch.float32)
    return torch.zeros(logits.shape, device=logits.device).scatter_(1, order, values.expand(order.shape))
