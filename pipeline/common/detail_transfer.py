"""How much detail an image shows at each size, and how to give it another's amount.

What Reinhard's transfer does to colours (`pipeline.common.colours`), done to the bands of a Laplacian pyramid (Burt,
Adelson, IEEE Transactions on Communications 31(4), 1983): each is scaled to the deviation that this band of another
image has. A camera that blurs, and one whose contrast is low, differ so.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.common.images import RgbImage

_BLURS = (0.6, 1.2, 2.4)
"""Deviations of the Gaussians between bands, pixels; each band is what two neighbours differ by, the first what the
finest takes away."""
_MOST = 4.0
"""A band is scaled by no more than this, and by no less than one over it: noise is no detail."""
_LEAST_DEVIATION = 1e-3

Bands = NDArray[np.float64]
"""Deviation of each band of the luminance, of [0, 255], the finest first."""


def bands_of(image: RgbImage) -> Bands:
    """(3,) of an image (H, W, 3) uint8."""
    return np.array([band.std() for band in _split(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32))[:-1]])


def transfer_detail(image: RgbImage, bands: Bands) -> RgbImage:
    """``image`` (H, W, 3) uint8 with the deviations ``bands``, all colours alike, but for what no screen can show."""
    *fine, rest = _split(image.astype(np.float32))
    scales = np.clip(bands / np.maximum(bands_of(image), _LEAST_DEVIATION), 1 / _MOST, _MOST)
    made = rest + sum(np.float32(scale) * band for scale, band in zip(scales, fine, strict=True))
    return np.asarray(np.clip(np.rint(made), 0, 255).astype(np.uint8))


def _split(pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The bands, the finest first, then what is left; their sum is ``pixels``."""
    blurred = [pixels, *(cv2.GaussianBlur(pixels, (0, 0), blur, borderType=cv2.BORDER_REFLECT) for blur in _BLURS)]
    parts = [np.asarray(one - other) for one, other in pairwise(blurred)]
    return [*parts, np.asarray(blurred[-1])]
