"""Whether generated images hold as much detail as real ones: sharpness, and power by spatial frequency.

A generator that blurs lacks power at high frequencies, one that leaves a grid or noise has too much there. Images are
compared at one size: what scaling does to either then is alike.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.common.images import RgbImage

Images = NDArray[np.uint8]
BANDS = tuple((edge / 100, (edge + 5) / 100) for edge in range(5, 50, 5))
"""Spatial frequencies, cycles a pixel: from, to. Half a cycle a pixel is the finest that pixels can show."""
_NO_POWER = 1e-12
"""Of a flat image."""


class Detail(NamedTuple):
    """How generated images stand to real ones."""

    sharpness: float
    """Median sharpness over that of the real images: 1 is as sharp."""
    spectrum: tuple[float, ...]
    """Power in each of `BANDS` over that of the real images, decibels: 0 is as much."""

    @property
    def worst(self) -> float:
        """The decibels of the band that is furthest off."""
        return max(self.spectrum, key=abs)


def compare_detail(made: Images, real: Images) -> Detail:
    """``made`` and ``real`` (N, H, W, 3) and (M, H, W, 3) uint8 of one size, 16 x 16 pixels or more.

    Raises:
        ValueError: of two sizes, or none of either.
    """
    if not len(made) or not len(real) or made.shape[1:] != real.shape[1:]:
        raise ValueError(f"detail is compared of images of one size, got {made.shape} and {real.shape}")
    sharp = [float(np.median([sharpness(image) for image in images])) for images in (made, real)]
    power = [mean_power(images) for images in (made, real)]
    decibels = 10 * np.log10(np.maximum(power[0], _NO_POWER) / np.maximum(power[1], _NO_POWER))
    return Detail(sharp[0] / max(sharp[1], _NO_POWER), tuple(decibels.tolist()))


def sharpness(image: RgbImage) -> float:
    """Variance of the Laplacian of an image's (H, W, 3) luminance in [0, 255] (Pech-Pacheco et al., "Diatom
    autofocusing in brightfield microscopy", ICPR 2000)."""
    return float(cv2.Laplacian(_luminance(image), cv2.CV_64F).var())


def mean_power(images: Images) -> NDArray[np.float64]:
    """(len(`BANDS`),): mean power of the luminance of (N, H, W, 3) uint8 images by spatial frequency, whatever its
    direction; behind a Hann window, so that the borders add none."""
    height, width = images.shape[1:3]
    window = np.outer(np.hanning(height), np.hanning(width))
    total = np.zeros((height, width))
    for image in images:
        grey = _luminance(image)
        total += np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    inside = [(frequency >= low) & (frequency < high) for low, high in BANDS]
    return np.array([total[band].mean() for band in inside]) / len(images)


def _luminance(image: RgbImage) -> NDArray[np.float64]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64))
