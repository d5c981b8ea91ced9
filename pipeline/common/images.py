"""Images in and out: safe decoding, resizing, encoding, digests, contact sheets.

An image is ``(H, W, 3)`` uint8 RGB, a mask ``(H, W)`` bool, everywhere outside of the networks. What becomes of odd
input is said where it is decoded, in `manifests.common.pictures`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from manifests.common.pictures import PictureError, decode_picture

JPEG_QUALITY = 96
"""The least for which simplejpeg has the accurate DCT computed. Below, its JPEGs are coarser than those of Pillow or
OpenCV, by 0.7 to 1.1 dB at 95; with ``fastdct=False`` too, which changes nothing (1.9.0). Those two take 1.4 to 2 times
as long. Figures: `benchmarks/jpeg_encoders.py`."""
LARGEST_SIDE = 4096
"""Of the images that networks learn from and make, pixels."""

RgbImage = NDArray[np.uint8]
BoolMask = NDArray[np.bool_]
ImageFormat = Literal["jpeg", "png", "webp"]


class ImageError(PictureError):
    """An image that cannot be trusted: ``reason`` is a short code for the rejects table."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason)


def decode(data: bytes, into: RgbImage | None = None) -> RgbImage:
    """Decode to ``(H, W, 3)`` uint8 RGB as everything here does; ``into`` as `decode_picture` has it.

    Raises:
        ImageError: the reasons of `manifests.common.pictures.decode_picture`.
    """
    try:
        return decode_picture(data, into)
    except PictureError as error:
        raise ImageError(error.reason, str(error)) from None


def encode(image: RgbImage, image_format: ImageFormat = "jpeg", quality: int = JPEG_QUALITY) -> bytes:
    """Encode ``(H, W, 3)`` uint8 RGB; JPEG without chroma subsampling (4:4:4), PNG and WebP as OpenCV does.

    ``quality`` is 0-100 for JPEG and WebP (101 is lossless WebP) and unused for PNG.
    """
    if image_format == "jpeg":
        contiguous = np.ascontiguousarray(image)
        return simplejpeg.encode_jpeg(contiguous, quality=quality, colorspace="RGB", colorsubsampling="444")
    flags = {
        "png": [cv2.IMWRITE_PNG_COMPRESSION, 6],
        "webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
    }[image_format]
    return _imencode(f".{image_format}", np.ascontiguousarray(image[:, :, ::-1]), flags)


def resize(image: RgbImage, height: int, width: int) -> RgbImage:
    """Resize to ``(height, width, 3)``: area averaging along an axis that shrinks, cubic along one that grows."""
    return np.asarray(_resized(image, height, width, cv2.INTER_CUBIC), dtype=np.uint8)


def resize_mask(mask: BoolMask, height: int, width: int) -> BoolMask:
    """Resize a mask to ``(height, width)`` and cut the interpolated coverage at one half."""
    if mask.shape == (height, width):
        return mask
    coverage = _resized(mask.astype(np.float32), height, width, cv2.INTER_LINEAR)
    return np.asarray(coverage >= 0.5, dtype=np.bool_)


def _resized(pixels: NDArray[Any], height: int, width: int, growing: int) -> NDArray[Any]:
    """Pixels (H, W) or (H, W, C) of another size; ``growing`` is how OpenCV interpolates along an axis that grows.

    In two steps where one axis shrinks and the other grows, as those of a crop wider than a person do: if either grows,
    OpenCV's INTER_AREA averages along neither, but mixes two neighbours, so that stripes of one pixel vanish or stay
    whole (5.0.0; `resize` in modules/imgproc/src/resize.cpp averages where both scales are 1 or more).
    """
    least = min(height, pixels.shape[0]), min(width, pixels.shape[1])
    if least != pixels.shape[:2]:
        pixels = cv2.resize(pixels, least[::-1], interpolation=cv2.INTER_AREA)
    if least != (height, width):
        pixels = cv2.resize(pixels, (width, height), interpolation=growing)
    return pixels


def encode_mask(mask: BoolMask) -> bytes:
    """A mask as a 1-bit PNG, which `manifests.format.annotation_values.read_mask` reads."""
    return _imencode(".png", np.ascontiguousarray(mask).view(np.uint8), [cv2.IMWRITE_PNG_BILEVEL, 1])


def sha256(data: bytes) -> str:
    """SHA-256 of encoded bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def pixel_sha256(image: RgbImage) -> str:
    """SHA-256 over height, width and pixels: tells a change of the generator from one of the encoder."""
    digest = hashlib.sha256(np.asarray(image.shape[:2], dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def draw_contact_sheet(
    rows: Sequence[Sequence[RgbImage]], cell_height: int = 256, cell_width: int = 128, gap: int = 4
) -> RgbImage:
    """A grid of images on white, each scaled into its cell with its aspect kept; rows may differ in length.

    Raises:
        ValueError: there is no image.
    """
    columns = max((len(row) for row in rows), default=0)
    if columns == 0:
        raise ValueError("a contact sheet needs at least one image")
    height = len(rows) * (cell_height + gap) + gap
    width = columns * (cell_width + gap) + gap
    sheet = np.full((height, width, 3), 255, np.uint8)
    for row_index, row in enumerate(rows):
        for column_index, image in enumerate(row):
            scale = min(cell_height / image.shape[0], cell_width / image.shape[1])
            cell = resize(image, max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
            top = gap + row_index * (cell_height + gap) + (cell_height - cell.shape[0]) // 2
            left = gap + column_index * (cell_width + gap) + (cell_width - cell.shape[1]) // 2
            sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _imencode(suffix: str, pixels: NDArray[Any], flags: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, pixels, flags)
    if not done:
        raise ValueError(f"OpenCV could not encode an array of shape {pixels.shape} as {suffix}")
    encoded: bytes = data.tobytes()
    return encoded
