"""Masks and keypoints as rows hold them, read strictly: what a stranger's row may hold is not trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.common.pictures import PictureError, load_picture
from manifests.format.skeleton import KEYPOINTS

_FAR = 2
"""A joint may lie outside of a crop, but no further than so many times its longer side."""


def read_mask(data: bytes, height: int, width: int) -> NDArray[np.bool_]:
    """The mask ``(height, width)`` of a 1-bit PNG.

    Raises:
        ValueError: the bytes are none, or are the mask of a picture of another size.
    """
    try:
        mask = load_picture(data)
    except PictureError as error:
        raise ValueError(f"the mask does not decode: {error}") from None
    if (mask.format, mask.mode) != ("PNG", "1"):
        raise ValueError(f"a mask is a 1-bit PNG, not {mask.format} of mode {mask.mode}")
    if mask.size != (width, height):
        raise ValueError(f"the mask is {mask.size}, the row says {(width, height)}")
    # Pillow's own bools are bytes of 0 and 255: equal to numpy's, and yet of another digest.
    return np.asarray(mask, dtype=np.uint8) > 0


def read_keypoints(points: Sequence[Mapping[str, Any] | None]) -> NDArray[np.float32]:
    """Keypoints ``(17, 3)``: x, y, and score in [0, 1].

    Raises:
        ValueError: there are more or fewer, one is not finite, or a score is out of range.
    """
    # What is null becomes NaN.
    values = np.array([[(point or {}).get(axis) for axis in ("x", "y", "score")] for point in points], np.float32)
    if values.shape != (KEYPOINTS, 3) or not np.isfinite(values).all():
        raise ValueError(f"expected {KEYPOINTS} finite (x, y, score), got shape {values.shape}")
    if not ((values[:, 2] >= 0) & (values[:, 2] <= 1)).all():
        raise ValueError(f"scores of keypoints from {values[:, 2].min():g} to {values[:, 2].max():g}, not in [0, 1]")
    return values


def check_places(points: NDArray[np.float32], height: int, width: int) -> None:
    """Refuse keypoints that cannot have been found in a picture of that size.

    Raises:
        ValueError: one lies too far outside.
    """
    far = _FAR * max(height, width)
    places = points[:, :2]
    if (places < -far).any() or (places > np.array([width, height]) + far).any():
        worst = places[np.abs(places).max(axis=1).argmax()]
        raise ValueError(f"a keypoint at ({worst[0]:g}, {worst[1]:g}) of a picture of {width} x {height} pixels")


def check_mask_quality(quality: float | None) -> None:
    """Refuse what is no predicted IoU.

    Raises:
        ValueError: it is not in [0, 1], or not finite.
    """
    if quality is not None and not 0 <= quality <= 1:
        raise ValueError(f"mask_quality is {quality}")
