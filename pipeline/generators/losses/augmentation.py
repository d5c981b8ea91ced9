"""Random changes to real and generated images alike, through which the generator's gradient flows.

Zhao, Liu, Lin, Zhu, Han: "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020, section 3.2: with
few images a discriminator learns them by heart; it cannot, and the generator does not learn the changes, if it only
ever sees changed images of both kinds.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Augmentation = Literal["none", "translation", "translation_colour"]


def augment(images: Tensor, how: Augmentation, rng: np.random.Generator) -> Tensor:
    """Images (N, 3, H, W) in [-1, 1], each changed by its own draws from ``rng``; the same shape, colours unclipped."""
    if "colour" in how:
        images = recolour(images, *rng.random((3, len(images)), dtype=np.float32))
    if "translation" in how:
        reach = np.array(images.shape[2:]) // 8
        images = translate(images, rng.integers(-reach, reach + 1, (len(images), 2)))
    return images


def translate(images: Tensor, shifts: NDArray[np.int64]) -> Tensor:
    """Each image moved down and right by its row (N, 2) of ``shifts`` in pixels; what comes in from outside is grey."""
    rows, columns = np.abs(shifts).max(axis=0)
    height, width = images.shape[2:]
    padded = F.pad(images, (columns, columns, rows, rows))
    moved = [
        image[:, rows - down : rows - down + height, columns - right : columns - right + width]
        for image, (down, right) in zip(padded, shifts, strict=True)
    ]
    return torch.stack(moved)


def recolour(
    images: Tensor, brightness: NDArray[np.float32], saturation: NDArray[np.float32], contrast: NDArray[np.float32]
) -> Tensor:
    """Colours changed by one draw in [0, 1) an image each: at 0.5 an image stays as it is.

    Brightness adds up to half of the way from black to grey, saturation scales the distance from grey by 0 to 2,
    contrast that from the image's mean by 0.5 to 1.5.
    """
    bright, saturated, contrasted = (
        torch.from_numpy(draws).to(images.device).view(-1, 1, 1, 1) for draws in (brightness, saturation, contrast)
    )
    images = images + (bright - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (2 * saturated)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (contrasted + 0.5)
