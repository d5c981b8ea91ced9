"""Whether generated images hold as much detail as real ones: sharpness, and power by spatial frequency.

A generator that blurs lacks power at high frequencies, one that leaves a grid or noise has too much there. Images are
compared at one size: what scaling does to either then is alike.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.common.images import RgbImage

Images = NDArray[np.uint8]
Floats = NDArray[np.float64]
BANDS = tuple((edge / 100, (edge + 5) / 100) for edge in range(5, 50, 5))
"""Spatial frequencies, cycles a pixel: from, to. Half a cycle a pixel is the finest that pixels can show."""
_POINTS = tuple((y / 4, x / 4) for y in range(4) for x in range(4) if y or x)
"""Cycles a pixel down and across where layers that double an image twice leave a grid, every 2 or 4 pixels."""
_NEAR, _AROUND = 1 / 32, 3 / 32
"""Cycles a pixel in height or width: nearer than the first belongs to a frequency of the lattice, up to the second are
those that it is held against."""
_NO_POWER = 1e-12
"""Of a flat image."""


class Detail(NamedTuple):
    """How generated images stand to real ones."""

    sharpness: float
    """Median sharpness over that of the real images: 1 is as sharp."""
    spectrum: tuple[float, ...]
    """Power in each of `BANDS` over that of the real images, decibels: 0 is as much."""
    grid: float
    """How far a pattern that repeats every 2 or 4 pixels stands out of the frequencies around it, beside real images,
    decibels: of the worst such frequency. 0 is none."""

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
    (power, standing), (real_power, real_standing) = map(_look, (made, real))
    bands = _decibels(power, real_power)
    return Detail(sharp[0] / max(sharp[1], _NO_POWER), tuple(bands.tolist()), float((standing - real_standing).max()))


def sharpness(image: RgbImage) -> float:
    """Variance of the Laplacian of an image's (H, W, 3) luminance in [0, 255] (Pech-Pacheco et al., "Diatom
    autofocusing in brightfield microscopy", ICPR 2000)."""
    return float(cv2.Laplacian(_luminance(image), cv2.CV_64F).var())


def mean_power(images: Images) -> Floats:
    """(len(`BANDS`),): mean power of the luminance of (N, H, W, 3) uint8 images by spatial frequency, whatever its
    direction; behind a Hann window, so that the borders add none."""
    return _look(images)[0]


def _look(images: Images) -> tuple[Floats, Floats]:
    """`mean_power`, and how far each frequency of the lattice stands out of an image in the mean, decibels."""
    height, width = images.shape[1:3]
    window = np.outer(np.hanning(height), np.hanning(width))
    total, standing = np.zeros((height, width)), np.zeros(len(_POINTS))
    for image in images:
        grey = _luminance(image)
        power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
        total += power
        standing += _standing_out(power)
    return _by_band(total) / len(images), standing / len(images)


def _by_band(spectrum: Floats) -> Floats:
    """(len(`BANDS`),)"""
    frequency = np.hypot(np.fft.fftfreq(spectrum.shape[0])[:, None], np.fft.fftfreq(spectrum.shape[1])[None])
    return np.array([spectrum[(frequency >= low) & (frequency < high)].mean() for low, high in BANDS])


def _standing_out(spectrum: Floats) -> Floats:
    """(len(`_POINTS`),): power at each of them over that around it, decibels."""
    near, around = _places(*spectrum.shape)
    return _decibels(near @ spectrum.ravel(), around @ spectrum.ravel())


@lru_cache(maxsize=4)
def _places(height: int, width: int) -> tuple[Floats, Floats]:
    """(len(`_POINTS`), H W) each: what to multiply a spectrum by for its mean at each point, and around it."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    # Frequencies come around: half a cycle a pixel and minus half are the same.
    from_point = [(abs((down - y + 0.5) % 1 - 0.5), abs((across - x + 0.5) % 1 - 0.5)) for y, x in _POINTS]
    far = np.stack([np.maximum(*both) for both in from_point])
    masks = [(far <= _NEAR).reshape(len(far), -1), ((far > _NEAR) & (far <= _AROUND)).reshape(len(far), -1)]
    near, around = (mask / mask.sum(axis=1, keepdims=True) for mask in masks)
    return near, around


def _decibels(made: Floats, real: Floats) -> Floats:
    return np.asarray(10 * np.log10(np.maximum(made, _NO_POWER) / np.maximum(real, _NO_POWER)))


def _luminance(image: RgbImage) -> Floats:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64))
