"""Noise that looks like nothing in particular and has the spectrum of photographs.

The amplitude of natural images falls as about 1/f (Field, "Relations between the statistics of natural images and the
response properties of cortical cells", JOSA A 4(12), 1987, section 4). Where noise falls as fast, one share of it hides
as much at every frequency, and what a short training leaves of it in an image is no grain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GREY = 0.7
"""Share of the variance that the three colours have in common, as in photographs."""


def photographic_noise(rng: np.random.Generator, rows: int, size: tuple[int, int], slope: float) -> NDArray[np.float32]:
    """(``rows``, 3, H, W) float32 of mean 0 and variance 1 over draws, for images of ``size`` (H, W).

    Its amplitude falls as ``f ** -slope`` beyond one cycle an image height; 0 is white noise, no colour in common.
    """
    height, width = size
    if slope == 0:
        return rng.standard_normal((rows, 3, height, width), dtype=np.float32)
    white = rng.standard_normal((rows, 4, height, width), dtype=np.float32)
    mixed = np.sqrt(_GREY) * white[:, :1] + np.sqrt(1 - _GREY) * white[:, 1:]
    down, right = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    amplitude = (down**2 + right**2 + height**-2.0) ** (-slope / 2)
    whole = (down**2 + np.fft.fftfreq(width)[None] ** 2 + height**-2.0) ** -slope
    shaped = np.fft.irfft2(np.fft.rfft2(mixed) * (amplitude / np.sqrt(whole.mean())), s=size)
    return shaped.astype(np.float32)
