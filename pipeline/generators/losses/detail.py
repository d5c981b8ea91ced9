"""A squared error that asks for detail: also of what neighbouring pixels differ by."""

from __future__ import annotations

from torch import Tensor


def detailed_squares(error: Tensor, weight: Tensor, sure: Tensor, detail_weight: float) -> Tensor:
    """(N,): mean squares of ``error`` (N, C, H, W), weighted by pixel, and ``detail_weight`` times those of what
    neighbours differ by in it, down and right, where it is ``sure`` what the finest detail should be; ``weight`` and
    ``sure``: (N, 1, H, W)."""
    down, right = error.diff(dim=2), error.diff(dim=3)
    fine = weight * sure
    detail = (fine[:, :, 1:] * down.square()).mean(dim=(1, 2, 3))
    detail = detail + (fine[:, :, :, 1:] * right.square()).mean(dim=(1, 2, 3))
    return (weight * error.square()).mean(dim=(1, 2, 3)) + detail_weight * detail
