"""Loss terms of the recipes: scalars, computed in float32 whatever the precision of the networks."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

MaskAverage = Literal["area", "image"]


def least_squares(scores: Tensor, real: bool) -> Tensor:
    """LSGAN (Mao et al., ICCV 2017, equation 9 with a = 0, b = c = 1): ``mean((scores - real)^2)``."""
    return (scores.float() - float(real)).square().mean()


def mean_absolute(first: Tensor, second: Tensor) -> Tensor:
    """``mean(|first - second|)``: the cycle and the identity-mapping loss (CycleGAN, equation 2 and section 5.2)."""
    return F.l1_loss(first.float(), second.float())


def identity_mask(generated: Tensor, source: Tensor, mask: Tensor, average: MaskAverage = "area") -> Tensor:
    """PTGAN's person term (Wei et al., CVPR 2018, equation 4): the squared change under the person's mask.

    ``generated`` and ``source`` (N, 3, H, W) in [-1, 1], ``mask`` (N, 1, H, W) in [0, 1]. With ``area``, each image's
    squared change is averaged over its own mask, so a small person counts as much as a large one (an empty mask
    counts 0); with ``image``, over all its pixels, as the published code has it.
    """
    weight = mask.float()
    change = ((generated.float() - source.float()) * weight).square().mean(dim=1, keepdim=True)
    if average == "image":
        return change.mean()
    area = weight.sum(dim=(1, 2, 3)).clamp_min(1.0)
    return (change.sum(dim=(1, 2, 3)) / area).mean()
