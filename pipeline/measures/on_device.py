"""What `pipeline.measures.images` counts on a processor, counted in one batch where a generator's tensors lie.

Whole numbers in and out, by OpenCV's own arithmetic: whatever adds them up, and however, the scores are the same to the
last bit.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from pipeline.common.transfers import upload

_GREY = (9798, 19235, 3735)
"""Of red, green and blue in OpenCV's luminance, in parts of 2^15."""


def count_pairs(sources: Tensor, generated: Tensor, masks: Tensor) -> Tensor:
    """(N, 18) int64, as `PairCounts` has them, of images (N, H, W, 3) uint8 and masks (N, H, W) bool on one device;
    height and width are even."""
    colours = [_colours(images) for images in (sources, generated)]
    return torch.cat([_people(sources, generated, masks), *colours], dim=1)


def _people(sources: Tensor, generated: Tensor, masks: Tensor) -> Tensor:
    """(N, 6): pixels of the mask; differences inside it, and everywhere; inside it |a|^2, |b|^2 and |a + b|^2, where a
    and b are the gradients of the two."""
    pixels = (sources.int() - generated.int()).abs().sum(3)
    first, second = (_gradients(images) * masks.unsqueeze(1) for images in (sources, generated))
    # Each square is below 2^24, their sum below 2^53: floats hold them as they are.
    squares = [one.square().sum((1, 2, 3), dtype=torch.float64).long() for one in (first, second, first + second)]
    return torch.stack([masks.sum((1, 2)), (pixels * masks).sum((1, 2)), pixels.sum((1, 2)), *squares], dim=1)


def _gradients(images: Tensor) -> Tensor:
    """(N, 2, H, W) float32, whole numbers: horizontal and vertical Sobel gradient of the luminance."""
    weights = torch.tensor(_GREY, dtype=torch.int32, device=images.device)
    grey = ((images.int() * weights).sum(3) + (1 << 14)) >> 15
    framed = pad(grey.float().unsqueeze(1), (1, 1, 1, 1), mode="reflect")[:, 0]
    down = framed[:, :-2] + 2 * framed[:, 1:-1] + framed[:, 2:]
    across = framed[:, :, :-2] + 2 * framed[:, :, 1:-1] + framed[:, :, 2:]
    return torch.stack([down[:, :, 2:] - down[:, :, :-2], across[:, 2:] - across[:, :-2]], dim=1)


def _colours(images: Tensor) -> Tensor:
    """(N, 6): sums of L, a and b over the pixels of half the size, then of their squares."""
    whole = images.int()
    rows = whole[:, 0::2] + whole[:, 1::2]
    small = (rows[:, :, 0::2] + rows[:, :, 1::2] + 2) >> 2
    lab = _lab(images.device)[(small[..., 0] << 16) | (small[..., 1] << 8) | small[..., 2]].int()
    return torch.cat([lab.sum((1, 2)), lab.square().sum((1, 2))], dim=1)


@lru_cache(maxsize=8)
def _lab(device: torch.device) -> Tensor:
    """(2^24, 3) uint8: what OpenCV makes of every colour, by ``red << 16 | green << 8 | blue``; 50 MB."""
    colours = np.arange(1 << 24, dtype="<u4").view(np.uint8).reshape(1 << 12, 1 << 12, 4)
    return upload(cv2.cvtColor(np.ascontiguousarray(colours[..., 2::-1]), cv2.COLOR_RGB2LAB).reshape(-1, 3), device)
