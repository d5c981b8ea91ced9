"""How good a generated image is, measured on pixels: change of the person, move of the style.

Images are ``(H, W, 3)`` uint8 RGB, masks ``(H, W)`` bool (True on the person).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.format.skeleton import LEAST_SCORE
from pipeline.common.images import BoolMask, RgbImage


def masked_change(source: RgbImage, generated: RgbImage, mask: BoolMask) -> float | None:
    """Mean absolute difference inside ``mask``, as a share of the full range, in [0, 1]; None if it is empty.

    With the person's mask it is the foreground change that PTGAN's identity term keeps small (Wei et al.,
    CVPR 2018, section 3.3); with its complement, how much of the place was restyled.
    """
    if not mask.any():
        return None
    difference = np.abs(source[mask].astype(np.int16) - generated[mask].astype(np.int16))
    return float(difference.mean() / 255.0)


def structure_similarity(source: RgbImage, generated: RgbImage, mask: BoolMask) -> float | None:
    """Correlation of the luminance gradients inside ``mask``, in [-1, 1]; None where either is flat.

    Blind to a change of brightness, contrast or tint, so it tells a restyled person from a redrawn one.
    """
    if not mask.any():
        return None
    first, second = (_gradients(image)[mask].ravel() for image in (source, generated))
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second / norm) if norm > 1e-6 else None


def _gradients(image: RgbImage) -> NDArray[np.float32]:
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    horizontal = cv2.Sobel(luminance, cv2.CV_32F, 1, 0)
    vertical = cv2.Sobel(luminance, cv2.CV_32F, 0, 1)
    return np.stack([horizontal, vertical], axis=-1)


def pose_error(asked: NDArray[np.float32], found: NDArray[np.float32], height: int) -> float | None:
    """Mean distance between the joints of two poses ``(17, 3)`` in pixels, as a share of the image's ``height``.

    Joints that were asked for without being seen (score under 0.3) do not count; None if none is left, or one was found
    at no finite place. What the estimator is unsure of does count: an image without a person in that pose should not
    score well.
    """
    seen = asked[:, 2] >= LEAST_SCORE
    if not seen.any() or not np.isfinite(found[seen, :2]).all():
        return None
    return float(np.linalg.norm(asked[seen, :2] - found[seen, :2], axis=1).mean() / height)


@dataclass(frozen=True)
class StyleStatistics:
    """A domain's look in CIELAB: mean and spread of the `style_features` of its images.

    ``mean`` and ``deviation`` hold six numbers each: means of L, a, b, then standard deviations of L, a, b.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    images: int

    @classmethod
    def of(cls, images: Iterable[RgbImage]) -> StyleStatistics:
        """Statistics over ``images``.

        Raises:
            ValueError: there is no image.
        """
        features = np.array([style_features(image) for image in images], dtype=np.float64)
        if not len(features):
            raise ValueError("style statistics need at least one image")
        spread = np.maximum(features.std(axis=0), 1e-3)
        return cls(tuple(features.mean(axis=0).tolist()), tuple(spread.tolist()), len(features))

    def distance(self, image: RgbImage) -> float:
        """Root mean square of the image's deviation from this domain, in the domain's own spreads."""
        offset = (style_features(image) - np.array(self.mean)) / np.array(self.deviation)
        return float(np.sqrt(np.mean(offset**2)))

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def style_features(image: RgbImage) -> NDArray[np.float64]:
    """Six numbers: mean of L, a, b (CIELAB, L in 0-100) over the image, then their standard deviations."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    mean, deviation = (values.ravel() for values in cv2.meanStdDev(lab))
    # OpenCV stores L as 0-255 and a, b with 128 added.
    scale = np.array([100.0 / 255.0, 1.0, 1.0])
    return np.concatenate([(mean - np.array([0.0, 128.0, 128.0])) * scale, deviation * scale])


def style_shift(source: RgbImage, generated: RgbImage, target: StyleStatistics) -> float:
    """How much nearer to the target domain the image came: ``1 - d(generated) / d(source)``.

    1: it sits at the domain's centre; 0: no nearer; negative: further away.
    """
    before = target.distance(source)
    return 1.0 - target.distance(generated) / max(before, 1e-6)
