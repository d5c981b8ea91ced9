"""Images in and out: safe decoding, resizing, encoding, digests, contact sheets.

An image is ``(H, W, 3)`` uint8 RGB, a mask ``(H, W)`` bool, everywhere outside of the networks. Decisions on
odd input: EXIF rotation is ignored (masks and keypoints live in the stored frame), alpha is dropped, grey
becomes three equal channels, CMYK is refused.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

MAX_BYTES = 64 << 20
MAX_PIXELS = 1 << 24
JPEG_QUALITY = 96
"""The least for which simplejpeg has the accurate DCT computed. Below, its JPEGs are coarser than those of Pillow or
OpenCV, by 0.7 to 1.1 dB at 95; with ``fastdct=False`` too, which changes nothing (1.9.0). Those two take 1.4 to 2 times
as long. Figures: `benchmarks/jpeg_encoders.py`."""
LARGEST_SIDE = 4096
"""Of the images that networks learn from and make, pixels."""

RgbImage = NDArray[np.uint8]
BoolMask = NDArray[np.bool_]
ImageFormat = Literal["jpeg", "png", "webp"]


class ImageError(ValueError):
    """An image that cannot be trusted: ``reason`` is a short code for the rejects table."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ImageHeader(NamedTuple):
    """What an encoded image says of itself: format (``JPEG``, ``PNG``, ...), size in pixels, colour mode."""

    format: str
    width: int
    height: int
    mode: str


def read_header(data: bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> ImageHeader:
    """Format and size from the header alone, within limits, before anything is decoded.

    Raises:
        ImageError: ``empty``, ``too_many_bytes``, ``unknown_format`` or ``too_many_pixels``.
    """
    if not data:
        raise ImageError("empty", "the file has no bytes")
    if len(data) > max_bytes:
        raise ImageError("too_many_bytes", f"{len(data)} bytes, the limit is {max_bytes}")
    try:
        with Image.open(io.BytesIO(data)) as image:
            header = ImageHeader(str(image.format), image.width, image.height, image.mode)
    except Image.DecompressionBombError as error:
        raise ImageError("too_many_pixels", str(error)) from None
    except Exception as error:  # Pillow's plugins raise many types on hostile bytes
        raise ImageError("unknown_format", f"no image header found: {error}") from None
    if header.width * header.height > max_pixels:
        raise ImageError("too_many_pixels", f"{header.width} x {header.height}, the limit is {max_pixels}")
    return header


def decode(data: bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> RgbImage:
    """Decode to ``(H, W, 3)`` uint8 RGB; never a partial picture where the codec can tell.

    Raises:
        ImageError: the reasons of `read_header`, ``cmyk``, ``corrupt`` (the codec gave up or warned) or
            ``size_mismatch`` (the header lies).
    """
    header = read_header(data, max_bytes, max_pixels)
    if header.mode == "CMYK":
        raise ImageError("cmyk", "CMYK has no defined conversion to RGB without its profile")
    if header.format == "JPEG":
        # OpenCV pads a frame that ends early with grey and says nothing; the strict decoder refuses it.
        try:
            rgb: RgbImage = simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True)
        except ValueError as error:
            raise ImageError("corrupt", str(error)) from None
    else:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if bgr is None:
            raise ImageError("corrupt", f"the {header.format} decoder gave no picture")
        rgb = np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)
    if rgb.shape[:2] != (header.height, header.width):
        raise ImageError("size_mismatch", f"header {header.height} x {header.width}, picture {rgb.shape[:2]}")
    return rgb


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
    """Resize to ``(height, width, 3)``: area averaging when it shrinks, cubic when it grows."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), dtype=np.uint8)


def resize_mask(mask: BoolMask, height: int, width: int) -> BoolMask:
    """Resize a mask to ``(height, width)`` and cut the interpolated coverage at one half."""
    if mask.shape == (height, width):
        return mask
    shrinks = height * width < mask.size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    coverage = cv2.resize(mask.astype(np.float32), (width, height), interpolation=interpolation)
    return np.asarray(coverage >= 0.5, dtype=np.bool_)


def encode_mask(mask: BoolMask) -> bytes:
    """A mask as a 1-bit PNG, which `manifests.format.annotation_values.read_mask` reads."""
    return _imencode(".png", mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])


def sha256(data: bytes) -> str:
    """SHA-256 of encoded bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def pixel_sha256(image: RgbImage) -> str:
    """SHA-256 over height, width and pixels: tells a change of the generator from one of the encoder."""
    size = np.asarray(image.shape[:2], dtype="<i8").tobytes()
    return hashlib.sha256(size + np.ascontiguousarray(image).tobytes()).hexdigest()


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
    return bytes(data.tobytes())
