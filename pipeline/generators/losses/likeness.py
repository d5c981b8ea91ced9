"""What keeps an image, a person or an identity as it was: terms between two images, computed in float32."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

MaskAverage = Literal["area", "image"]
MaskForm = Literal["root", "squared"]


def mean_absolute(first: Tensor, second: Tensor) -> Tensor:
    """``mean(|first - second|)``: the cycle and the identity-mapping loss (CycleGAN, equation 2 and section 5.2)."""
    return F.l1_loss(first.float(), second.float())


def identity_mask(
    generated: Tensor, source: Tensor, mask: Tensor, average: MaskAverage = "area", form: MaskForm = "root"
) -> Tensor:
    """PTGAN's person term (Wei et al., CVPR 2018): ``E |(generated - source) * mask|_2``.

    ``generated`` and ``source`` (N, 3, H, W) in [-1, 1], ``mask`` (N, 1, H, W) in [0, 1]. With ``area``, each image's
    squared change is averaged over its own mask, so a small person counts as much as a large one (an empty mask
    counts 0); with ``image``, over all its pixels. ``root`` is the norm, as in the formula, so that the pull does
    not fade as the person comes near; ``squared``, with ``image``, is what the published code has. Both are exactly
    0 where nothing of a person changed.
    """
    weight = mask.float()
    change = ((generated.float() - source.float()) * weight).square().mean(dim=1, keepdim=True)
    pixels = weight.sum(dim=(1, 2, 3)).clamp_min(1.0) if average == "area" else weight[0].numel()
    each = change.sum(dim=(1, 2, 3)) / pixels
    return (each if form == "squared" else _root(each)).mean()


def _root(squared: Tensor) -> Tensor:
    """``sqrt(x + e^2) - e`` with e = 1e-4: the root, with a finite gradient at 0. Written as a quotient, since the
    difference is 0 at 0 only where the square root happens to round to ``e``: not every library's does."""
    return squared / ((squared + 1e-8).sqrt() + 1e-4)


def contrastive(first: Tensor, second: Tensor, alike: bool, margin: float) -> Tensor:
    """SPGAN's pair loss (Deng et al., CVPR 2018, equation 5): mean of ``d^2`` over pairs that should be alike, of
    ``max(0, margin - d)^2`` over others; ``d`` is the distance of embeddings (N, D).
    """
    squared = (first.float() - second.float()).square().sum(dim=1)
    if alike:
        return squared.mean()
    # Where two embeddings are the same the root has no gradient; the small number stands in for it.
    return (margin - squared.clamp_min(1e-12).sqrt()).clamp_min(0).square().mean()
