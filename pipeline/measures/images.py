"""How good a generated image is, measured on pixels: change of the person, move of the style.

Images are ``(H, W, 3)`` uint8 RGB, masks ``(H, W)`` bool (True on the person).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

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
    part, pixels = _shown(mask)
    return _share(_difference(source, generated, mask, part), pixels)


def structure_similarity(source: RgbImage, generated: RgbImage, mask: BoolMask) -> float | None:
    """Correlation of the luminance gradients inside ``mask``, in [-1, 1]; None where either is flat.

    Blind to a change of brightness, contrast or tint, so it tells a restyled person from a redrawn one.
    """
    return _correlation(_squares(source, generated, mask, _shown(mask)[0]))


class PersonScores(NamedTuple):
    """What became of the person and of the place behind."""

    foreground_change: float | None
    """`masked_change` on the person."""
    foreground_fidelity: float | None
    """`structure_similarity` of the person."""
    background_change: float | None
    """`masked_change` elsewhere."""

    @classmethod
    def of(cls, source: RgbImage, generated: RgbImage, mask: BoolMask) -> PersonScores:
        """All three, looking once for where the person is."""
        part, pixels = _shown(mask)
        inside = _difference(source, generated, mask, part)
        everywhere = round(cv2.norm(source, generated, cv2.NORM_L1))
        return cls.counted((pixels, inside, everywhere, *_squares(source, generated, mask, part)), mask.size)

    @classmethod
    def counted(cls, counts: Sequence[int], size: int) -> PersonScores:
        """The same from the first six numbers of `PairCounts` and the number of pixels of a whole image."""
        pixels, inside, everywhere, *squares = counts
        outside = _share(everywhere - inside, size - pixels)
        return cls(_share(inside, pixels), _correlation(squares), outside)


@dataclass(frozen=True)
class PairCounts:
    """What was counted over the pixels of N pairs of images of some size, source and generated.

    ``counts`` (N, 18) int64: of the person as `PersonScores.counted` takes them (how many pixels; the sum of absolute
    differences there, and everywhere; |a|^2, |b|^2, |a + b|^2 of the luminance's gradients there); of each image's
    CIELAB values at half the size the sums, then those of the squares, first the sources', then the others'.
    """

    counts: NDArray[np.int64]
    size: tuple[int, int]
    """Height and width of the images, pixels."""

    def taken(self, kept: NDArray[Any]) -> PairCounts:
        """Those of some pairs."""
        return PairCounts(self.counts[kept], self.size)

    def person(self, pair: int) -> PersonScores:
        """Of one pair."""
        return PersonScores.counted(self.counts[pair, :6].tolist(), math.prod(self.size))

    def styles(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The `style_features` of the sources, and of what was made."""
        sums, squares = self.counts[:, 6:].reshape(-1, 2, 2, 3).swapaxes(0, 2) * (4.0 / math.prod(self.size))
        found = np.concatenate([sums, np.sqrt(np.maximum(squares - sums**2, 0.0))], axis=2)
        return _as_cielab(found[0]), _as_cielab(found[1])


def peak_signal_to_noise(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """PSNR in dB of two images (H, W, 3), or stacks of them: ``10 log10(255^2 / mean squared difference)``.

    Infinite for equal ones, negative infinity where the sizes differ.
    """
    if first.shape != second.shape:
        return -math.inf
    error = float(np.mean((first.astype(np.float64) - second) ** 2))
    return 10 * math.log10(255.0**2 / error) if error else math.inf


_Part = tuple[slice, slice]


def _shown(mask: BoolMask) -> tuple[_Part, int]:
    """The rows and columns in which ``mask`` is set, and one more to each side, at which gradients look; how many
    pixels are set."""
    marked = mask.view(np.uint8)
    left, top, width, height = cv2.boundingRect(marked)
    part = slice(max(top - 1, 0), top + height + 1), slice(max(left - 1, 0), left + width + 1)
    return part, cv2.countNonZero(marked)


def _difference(source: RgbImage, generated: RgbImage, mask: BoolMask, part: _Part) -> int:
    """The sum of absolute differences inside ``mask``, which lies in ``part``: one of integers, so the same whatever
    adds them up."""
    return round(cv2.norm(source[part], generated[part], cv2.NORM_L1, mask[part].view(np.uint8)))


def _share(difference: int, pixels: int) -> float | None:
    return difference / (3 * pixels) / 255.0 if pixels else None


def _squares(source: RgbImage, generated: RgbImage, mask: BoolMask, part: _Part) -> list[int]:
    """|a|^2, |b|^2 and |a + b|^2 of the gradients inside ``mask``: sums of integers, the same whatever adds them up, as
    BLAS's products are not. OpenCV's norm of a difference of int16 arrays is not: with Intel's IPP it is too large."""
    inside = mask[part].astype(np.int16)
    first, second = (_gradients(image[part], inside) for image in (source, generated))
    return [round(cv2.norm(one, cv2.NORM_L2SQR)) for one in (first, second, first + second)]


def _correlation(squares: Sequence[int]) -> float | None:
    """Of a and b, whose `_squares` these are: by |a + b|^2 = |a|^2 + |b|^2 + 2ab."""
    norm = math.sqrt(squares[0] * squares[1])
    return (squares[2] - squares[0] - squares[1]) / 2 / norm if norm else None


def _gradients(image: RgbImage, inside: NDArray[np.int16]) -> NDArray[np.int16]:
    """(2, H, W): the luminance's horizontal and vertical Sobel gradient where ``inside`` (H, W) is 1, elsewhere 0."""
    pair = np.empty((2, *image.shape[:2]), np.int16)
    cv2.spatialGradient(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), *pair)
    return np.multiply(pair, inside, out=pair)


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
        features = np.concatenate([np.empty((0, 6)), *(style_features(image[None]) for image in images)])
        if not len(features):
            raise ValueError("style statistics need at least one image")
        spread = np.maximum(features.std(axis=0), 1e-3)
        return cls(tuple(features.mean(axis=0).tolist()), tuple(spread.tolist()), len(features))

    def distances(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Root mean square of the deviation of images from this domain, in the domain's own spreads: (N,) of their
        `style_features` (N, 6)."""
        offset = (features - np.array(self.mean)) / np.array(self.deviation)
        return np.sqrt(np.mean(offset**2, axis=1))

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def style_features(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, 6) of images (N, H, W, 3): mean of L, a, b (CIELAB, L in 0-100) over each, then their standard deviations.

    At half the size, where the conversion costs a quarter: `style_shifts` differ from those at full size by 0.0006 in
    the mean and 0.004 at most (252 drawn people of 256 x 128, between whom they vary by 0.08).
    """
    count, height, width, _ = images.shape
    half = max(width // 2, 1), max(height // 2, 1)
    found = np.empty((count, 6))
    for image, row in zip(images, found.reshape(count, 2, 3, 1), strict=True):
        small = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
        cv2.meanStdDev(cv2.cvtColor(small, cv2.COLOR_RGB2LAB, small), *row)
    return _as_cielab(found)


def _as_cielab(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means and deviations (N, 6) in place: OpenCV stores L as 0-255 and a, b with 128 added."""
    found[:, :3] -= np.array([0.0, 128.0, 128.0])
    found *= np.array([100.0 / 255.0, 1.0, 1.0] * 2)
    return found


def style_shifts(
    sources: NDArray[np.float64], generated: NDArray[np.float64], target: StyleStatistics
) -> NDArray[np.float64]:
    """How much nearer to the target domain each image came: ``1 - d(generated) / d(source)``, (N,) of the
    `style_features` (N, 6) of both.

    1: it sits at the domain's centre; 0: no nearer; negative: further away.
    """
    return 1.0 - target.distances(generated) / np.maximum(target.distances(sources), 1e-6)
