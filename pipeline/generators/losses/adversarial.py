"""What makes images look real: terms of the judges and of those who are judged, computed in float32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def least_squares(scores: Tensor, real: bool) -> Tensor:
    """LSGAN (Mao et al., ICCV 2017, equation 9 with a = 0, b = c = 1): ``mean((scores - real)^2)``."""
    return (scores.float() - float(real)).square().mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """WGAN-GP (Gulrajani et al., NeurIPS 2017, equation 3): ``mean (|grad critic(x)|_2 - 1)^2`` at mixtures
    ``share * real + (1 - share) * fake``; ``share`` (N, 1, 1, 1) in [0, 1]. Where ``critic`` scores patches, the
    slope is that of their sum. Computed in float32: a gradient of a gradient has no digits to spare.
    """
    with torch.autocast(real.device.type, enabled=False):
        mixed = (share * real.float() + (1 - share) * fake.detach().float()).requires_grad_(True)
        (slope,) = torch.autograd.grad(critic(mixed).float().sum(), mixed, create_graph=True)
        excess: Tensor = slope.flatten(1).norm(dim=1) - 1
        return excess.square().mean()
