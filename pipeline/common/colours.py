"""The look of an image in six numbers, and how to give it another.

Reinhard, Adhikhmin, Gooch, Shirley: "Color Transfer between Images", IEEE Computer Graphics and Applications 21(5),
2001, section "Statistics and color correction": each channel x of an image becomes ::

    (x - mean) * deviation_t / deviation + mean_t

with the means and deviations of a target image; here in CIELAB. A jitter of like strength draws the change of the
means, and of the logarithms of the deviations, from normal distributions as wide as the changes that the transfer would
make.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.common.images import RgbImage

Look = NDArray[np.float64]
"""Six numbers: means of L (0 to 100), a, b over an image, then their standard deviations."""
_LEAST_DEVIATION = 1e-3


def look_of(image: RgbImage) -> Look:
    """CIELAB means and deviations of an image (H, W, 3) uint8."""
    lab = _to_lab(image).reshape(-1, 3)
    return np.concatenate([lab.mean(axis=0), lab.std(axis=0)])


def transfer_colours(image: RgbImage, look: Look) -> RgbImage:
    """``image`` (H, W, 3) uint8 with the means and deviations of ``look``, but for what no screen can show."""
    lab, own = _to_lab(image), look_of(image)
    moved = (lab - own[:3]) * (look[3:] / np.maximum(own[3:], _LEAST_DEVIATION)) + look[:3]
    rgb = cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.asarray(np.clip(np.rint(rgb * 255.0), 0, 255).astype(np.uint8))


def jittered(look: Look, widths: Look, normal: Look) -> Look:
    """``look`` after a change of ``widths`` times ``normal``: of the means, and of the logarithms of the deviations."""
    change = widths * normal
    return np.concatenate([look[:3] + change[:3], look[3:] * np.exp(change[3:])])


def change_widths(source: Look, target: Look) -> Look:
    """The root mean square change from a random one of ``source`` (N, 6) to one of ``target`` (M, 6), by each number of
    a `jittered` change."""
    one, other = (_logarithmic(looks) for looks in (source, target))
    square = one.var(axis=0) + other.var(axis=0) + (one.mean(axis=0) - other.mean(axis=0)) ** 2
    return np.asarray(np.sqrt(square))


def _logarithmic(looks: Look) -> Look:
    return np.column_stack([looks[:, :3], np.log(np.maximum(looks[:, 3:], _LEAST_DEVIATION))])


def _to_lab(image: RgbImage) -> NDArray[np.float64]:
    lab = cv2.cvtColor(image.astype(np.float32) / np.float32(255.0), cv2.COLOR_RGB2LAB)
    return np.asarray(lab.astype(np.float64))
