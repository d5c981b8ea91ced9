"""Poses as generators read them: limbs of COCO-17 keypoints in fixed colours, for people's eyes too; or numbers."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.format.skeleton import LEAST_SCORE, LIMB_HUES
from pipeline.common.images import RgbImage

_HUES = np.array([[[hue // 2, 230, 255] for *_, hue in LIMB_HUES]], np.uint8)
LIMBS = tuple(
    (first, second, tuple(color))
    for (first, second, _), color in zip(LIMB_HUES, cv2.cvtColor(_HUES, cv2.COLOR_HSV2RGB)[0].tolist(), strict=True)
)
_SUBPIXEL_BITS = 4
_FAR = 10_000
"""Pixels: nothing that is further outside is seen of an image."""
JOINT_UNIT = 256
"""Joints travel as integers, in parts of a pixel and of a score: half precision would move them."""


def draw_skeleton(
    keypoints: NDArray[np.float32], height: int, width: int, min_score: float = LEAST_SCORE
) -> NDArray[np.uint8]:
    """The pose alone, (``height``, ``width``, 3) uint8 RGB on black: what pose-guided recipes are given.

    ``keypoints`` (17, 3) in pixels and score. The lines are ``height / 64`` pixels wide, so that a drawing means the
    same at any size; a mirrored person gets another drawing than the mirror image of theirs (left stays cold).
    """
    return draw_limbs(np.zeros((height, width, 3), np.uint8), keypoints, max(1, round(height / 64)), min_score)


def draw_limbs(
    picture: RgbImage, keypoints: NDArray[np.float32], thickness: int, min_score: float = LEAST_SCORE
) -> RgbImage:
    """Draw the limbs whose two joints have ``min_score`` onto ``picture`` (changed in place); returns it.

    Smooth lines, placed to a sixteenth of a pixel; coordinates count from the image's corner.
    """
    # OpenCV counts from the centre of the first pixel. Far outside, its integers would overflow.
    places = np.clip(keypoints[:, :2] - 0.5, -_FAR, _FAR)
    fixed = np.rint(places * 2**_SUBPIXEL_BITS).astype(int).tolist()
    seen = keypoints[:, 2] >= min_score
    for first, second, color in LIMBS:
        if seen[first] and seen[second]:
            cv2.line(picture, fixed[first], fixed[second], color, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    return picture


def as_joints(keypoints: NDArray[np.float32]) -> NDArray[np.int64]:
    """Keypoints (..., 17, 3) in pixels and score as columns of a batch hold them: (..., 51), in parts of `JOINT_UNIT`;
    what is not finite is 0, and so not seen."""
    # Far outside, integers would overflow.
    flat = np.where(np.isfinite(keypoints).all(axis=-1, keepdims=True), keypoints, 0.0).clip(-_FAR, _FAR)
    return np.asarray(np.rint(flat.reshape(*flat.shape[:-2], 51) * JOINT_UNIT), np.int64)
