"""Between images as they are stored (uint8, channels last) and as the networks see them ([-1, 1], channels first)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.common.finite import NotFiniteError
from pipeline.common.transfers import upload


def to_signed(
    images: NDArray[np.uint8] | Tensor,
    device: torch.device | str = "cpu",
    layout: torch.memory_format = torch.channels_last,
) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [-1, 1], so laid out in memory; converted on ``device``."""
    pixels = upload(images, device)
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0).contiguous(memory_format=layout)


def to_batch(
    columns: Mapping[str, NDArray[Any] | Tensor],
    device: torch.device | str = "cpu",
    layout: torch.memory_format = torch.channels_last,
) -> dict[str, Tensor]:
    """Columns as a recipe's batch has them: images travel as uint8, masks as bool, all else as it is."""
    batch: dict[str, Tensor] = {}
    for name, column in columns.items():
        there = upload(column, device)
        if there.dtype == torch.uint8:
            there = to_signed(there, device, layout)
        elif there.dtype == torch.bool:
            there = there.float().unsqueeze(1)
        batch[name] = there
    return batch


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """(N, 3, H, W) in [-1, 1] -> (N, H, W, 3) uint8, rounded to nearest; values beyond the range are clipped.

    Raises:
        NotFiniteError: a value is not finite, and so no colour.
    """
    finite = are_finite(images)
    if not finite.all():
        raise NotFiniteError(f"the pixels of {int((~finite).sum())} of {len(finite)} images are not finite")
    pixels: NDArray[np.uint8] = clipped(images).cpu().numpy()
    return pixels


def are_finite(images: Tensor) -> Tensor:
    """(N,) bool of images (N, ...), on their device: whether all values of each are finite."""
    return images.detach().isfinite().flatten(1).all(dim=1)


def clipped(images: Tensor) -> Tensor:
    """As `to_uint8`, on their device, with no promise of what becomes of values that are not finite."""
    pixels = images.detach().float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous()
