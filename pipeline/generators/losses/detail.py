"""Errors of images that ask for detail: also of what neighbouring pixels differ by."""

from __future__ import annotations

import torch
from torch import Tensor

_SQUARED_BELOW = 0.05
"""Absolute errors are squared where they are far below this (ours)."""


def detailed_squares(error: Tensor, weight: Tensor, sure: Tensor, detail_weight: float) -> Tensor:
    """(N,): mean squares of ``error`` (N, C, H, W), weighted by pixel, and ``detail_weight`` times those of what
    neighbours differ by in it, down and right, where it is ``sure`` what the finest detail should be; ``weight`` and
    ``sure``: (N, 1, H, W)."""
    return _detailed(error, weight, sure, detail_weight, absolute=False)


def detailed_absolutes(error: Tensor, weight: Tensor, sure: Tensor, detail_weight: float) -> Tensor:
    """As `detailed_squares` of absolute errors, which a training makes the median small of and not the mean: of two
    things that could be there it takes one, where a mean would show both, half transparent. ``detail_weight`` is of
    the squares, here its root."""
    return _detailed(error, weight, sure, detail_weight**0.5, absolute=True)


def _detailed(error: Tensor, weight: Tensor, sure: Tensor, detail_weight: float, absolute: bool) -> Tensor:
    down, right = error.diff(dim=2), error.diff(dim=3)
    fine = weight * sure
    detail = (fine[:, :, 1:] * _size(down, absolute)).mean(dim=(1, 2, 3))
    detail = detail + (fine[:, :, :, 1:] * _size(right, absolute)).mean(dim=(1, 2, 3))
    return (weight * _size(error, absolute)).mean(dim=(1, 2, 3)) + detail_weight * detail


def _size(error: Tensor, absolute: bool) -> Tensor:
    """Squares, or absolute values with a round foot (Charbonnier et al., "Two Deterministic Half-quadratic
    Regularization Algorithms for Computed Imaging", ICIP 1994)."""
    if not absolute:
        return error.square()
    return torch.as_tensor((error.square() + _SQUARED_BELOW**2).sqrt() - _SQUARED_BELOW)
