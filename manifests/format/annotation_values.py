"""Masks and keypoints as rows hold them, read strictly: what a stranger's row may hold is not trusted."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.common.pictures import PictureError, load_picture
from manifests.format.skeleton import KEYPOINTS

_AXES = ("x", "y", "score")
_FAR = 2
"""A joint may lie outside of a crop, but no further than so many times its longer side."""


def read_mask(data: bytes, height: int, width: int) -> NDArray[np.bool_]:
    """The mask ``(height, width)`` of a 1-bit PNG.

    Raises:
        ValueError: the bytes are none, or are the mask of a picture of another size.
    """
    plain = read_plain_mask(data, height, width)
    if plain is not None:
        return plain
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


def read_plain_mask(png: bytes, height: int, width: int) -> NDArray[np.bool_] | None:
    """The mask in a PNG as OpenCV writes it: a header, one block of pixels, an end, and all checksums right. None for
    any other, which Pillow may know; it takes three times as long."""
    block = png[41:-16]
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    if png != _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", block) + _END:
        return None
    row = 1 + (width + 7) // 8  # a byte that names the filter, eight pixels in each other one
    inflate = zlib.decompressobj()
    try:
        lines = np.frombuffer(inflate.decompress(block, height * row + 1), np.uint8)
    except zlib.error:
        return None
    if len(lines) != height * row or not inflate.eof or inflate.unused_data:
        return None
    filters, packed = lines.reshape(height, row)[:, 0], lines.reshape(height, row)[:, 1:]
    if (filters == 1).all():  # of each byte, by how much it is more than the one before
        packed = np.cumsum(packed, axis=1, dtype=np.uint8)
    elif filters.any():
        return None
    return np.unpackbits(packed, axis=1, count=width).view(np.bool_)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = _chunk(b"IEND", b"")


def read_keypoints(points: Sequence[Mapping[str, Any] | None]) -> NDArray[np.float32]:
    """Keypoints ``(17, 3)``: x, y, and score in [0, 1].

    Raises:
        ValueError: there are more or fewer, one is not finite, or a score is out of range.
    """
    # What is null becomes NaN.
    return check_joints(np.array([[(point or {}).get(axis) for axis in _AXES] for point in points], np.float32))


def joints_of(column: pa.ChunkedArray) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Of a column of keypoints, unchecked: x, y and score of all points ``(M, 3)``, NaN where one is null; and at which
    of them those of each row begin and the last ones end, ``(N + 1,)``."""
    rows = column.combine_chunks()
    axes = dict(zip((field.name for field in rows.type.value_type), rows.values.flatten(), strict=True))
    points = np.stack([axes[axis].to_numpy(zero_copy_only=False) for axis in _AXES], axis=1)
    return points.astype(np.float32, copy=False), rows.offsets.to_numpy().astype(np.int64)


def nothing_wrong(
    points: NDArray[np.float32], starts: NDArray[np.int64], heights: NDArray[np.int64], widths: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """``(N,)``: of which rows of `joints_of` neither `check_joints` nor `check_places` has anything to say, where the
    pictures are of these sizes, pixels."""
    whole = np.flatnonzero(np.diff(starts) == KEYPOINTS)
    joints = points[starts[whole, None] + np.arange(KEYPOINTS)]
    far = _FAR * np.maximum(heights, widths)[whole, None]
    fine = np.isfinite(joints).all(axis=2) & (joints[:, :, 2] >= 0) & (joints[:, :, 2] <= 1)
    for places, sides in ((joints[:, :, 0], widths), (joints[:, :, 1], heights)):
        fine &= (places >= -far) & (places <= sides[whole, None] + far)
    right = np.zeros(len(starts) - 1, np.bool_)
    right[whole] = fine.all(axis=1)
    return right


def check_joints(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give keypoints ``(17, 3)`` back.

    Raises:
        ValueError: as `read_keypoints`.
    """
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
