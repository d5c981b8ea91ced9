"""Pictures out of bytes that somebody else wrote: limits come before decoding, and only plain formats are decoded.

Whatever looks at an image of a data set decodes it here, so that all see the same pixels. Decisions on odd input:
alpha is dropped, grey becomes three equal channels, of 16 bits the upper 8 are kept, an EXIF orientation is not applied
(masks and keypoints live in the stored frame), and colours that need a profile to be RGB (CMYK, Lab) are refused.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

SUFFIXES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
}
"""By what a file is known to be an image, and the format that it then has."""
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
"""What source images come in. Pillow knows more, some of which start other programs (EPS) or hold other files."""
MAX_BYTES = 64 << 20
MAX_PIXELS = 1 << 24
_JPEG = ("JPEG", "MPO")
"""What Pillow calls JPEG files, those of several pictures by another name."""
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")
_FAX = ("tiff_ccitt", "group3", "group4")
"""Compressions of TIFF whose damage libtiff prints and does not tell its caller."""
_STRAY = re.compile(r"([0-9]+) extraneous bytes before marker 0xd9")
"""What libjpeg says of bytes between the last pixel and the end marker, where nothing else is wrong before."""
_READ_AHEAD = 8
"""Bytes that libjpeg may have taken into its bit buffer, and does not count among them."""
_MAY_BE_TURNED = re.compile(rb"Exif|eXIf|EXIF|Orientation")
"""Without one of these no file but a TIFF says how it is to be turned."""


class PictureError(ValueError):
    """Bytes that are no picture, or none that should be decoded; ``reason`` is a short code for the rejects table."""

    def __init__(self, message: str, reason: str = "corrupt") -> None:
        super().__init__(message)
        self.reason = reason


def check_digest(data: bytes, sha256: str | None) -> None:
    """Refuse bytes that are not those that a row (``image_sha256``) is about; 5 to 20 KB take 10 microseconds.

    Raises:
        PictureError: they have another SHA-256.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise PictureError(f"the bytes have SHA-256 {found[:12]}, the row says {(sha256 or 'none')[:12]}")


def open_picture(data: bytes) -> Image.Image:
    """The picture in ``data`` with its size and format, its pixels not decoded yet.

    Raises:
        PictureError: ``empty``, ``too_many_bytes`` (`MAX_BYTES`), ``too_many_pixels`` (by its header, `MAX_PIXELS`), or
            ``unknown_format`` (none of `FORMATS`).
    """
    if not data:
        raise PictureError("the file has no bytes", "empty")
    if len(data) > MAX_BYTES:
        raise PictureError(f"{len(data)} bytes are more than the {MAX_BYTES} that a picture may have", "too_many_bytes")
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise PictureError(str(error), "too_many_pixels") from None
    except UnidentifiedImageError:
        raise PictureError(f"no header of {', '.join(FORMATS)}", "unknown_format") from None
    except Exception as error:  # Pillow's plugins raise many types on hostile bytes
        raise PictureError(f"no header of {', '.join(FORMATS)}: {error!r}", "unknown_format") from None
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width} x {picture.height} pixels"
        picture.close()
        raise PictureError(f"{size} are more than the {MAX_PIXELS} that a picture may have", "too_many_pixels")
    return picture


def load_picture(data: bytes) -> Image.Image:
    """The same with its pixels decoded, in whatever mode they are stored: `decode_picture` is for images of rows.

    Raises:
        PictureError: `open_picture`'s reasons; ``corrupt``: the decoder gave up.
    """
    picture = open_picture(data)
    _load(picture, data)
    return picture


def _load(picture: Image.Image, data: bytes) -> None:
    try:
        if picture.format == "PNG":
            with Image.open(io.BytesIO(data), formats=("PNG",)) as again:
                again.verify()  # checksums, at which `load` does not look
        picture.load()
    except Exception as error:
        raise PictureError(str(error) or repr(error)) from None


def decode_picture(data: bytes, into: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """The picture as ``(H, W, 3)`` uint8 RGB; never a part of it where the decoder can tell.

    A JPEG of the size of ``into`` is decoded there, and ``into`` returned: fresh memory and a copy take a third longer.
    Where anything else is returned, or nothing, ``into`` may hold anything.

    Raises:
        PictureError: `open_picture`'s and `load_picture`'s reasons; ``cmyk``, ``unknown_mode``: colours of which nobody
            says what they are in RGB; ``corrupt``: the decoder gave up or warned (of more than stray bytes before a
            JPEG's end marker).
    """
    size = _plain_jpeg_size(data)
    if size is not None:
        with suppress(ValueError):  # which Pillow may know better
            return _decode_whole(data, into if into is not None and into.shape == (*size, 3) else None)
    picture = open_picture(data)
    if picture.mode == "CMYK":
        raise PictureError("CMYK has no defined conversion to RGB without its profile", "cmyk")
    if picture.info.get("compression") in _FAX:
        raise PictureError("a TIFF of fax compression: its decoder goes on after an error", "unknown_mode")
    if picture.format in _JPEG:
        # Pillow pads a frame that ends early with grey and says nothing; the strict decoder refuses it.
        return _decode_jpeg(data)
    _load(picture, data)
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode not in _EIGHT_BITS:
        raise PictureError(f"pixels of mode {picture.mode} are neither grey nor RGB of 8 or 16 bits", "unknown_mode")
    picture.info.pop("transparency", None)  # of which `convert` would warn
    return np.array(picture.convert("RGB"))


def _plain_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Height and width by the header of a grey or colour JPEG within the limits, None for all else; it takes a
    twentieth of what opening it takes."""
    if not data.startswith(b"\xff\xd8\xff") or len(data) > MAX_BYTES:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return (height, width) if colours in ("Gray", "YCbCr", "RGB") and height * width <= MAX_PIXELS else None


def _decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    try:
        return _decode_whole(data)
    except ValueError as error:
        said = str(error)
    if stray := _STRAY.search(said):
        for shorter in _without(data, int(stray[1])):
            try:
                return _decode_whole(shorter)
            except ValueError:
                continue
    raise PictureError(said)


def _decode_whole(jpeg: bytes, into: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(jpeg, colorspace="RGB", strict=True, buffer=into)
    return pixels if into is None else into


def _without(jpeg: bytes, stray: int) -> Iterator[bytes]:
    """``jpeg`` without about so many bytes before one of its end markers (previews have their own), to be tried."""
    for end in [found.start() for found in re.finditer(b"\xff\xd9", jpeg)][-4:]:
        for count in range(stray, min(stray + _READ_AHEAD, end) + 1):
            yield jpeg[: end - count] + jpeg[end:]


def orientation(data: bytes) -> int:
    """How other programs turn the picture, by EXIF: 1 (upright) to 8.

    Raises:
        PictureError: `open_picture`'s reasons.
    """
    return orientation_of(open_picture(data), data)


def orientation_of(picture: Image.Image, data: bytes) -> int:
    """The same of an open ``picture`` and its ``data``: opening it takes most of the time."""
    if picture.format != "TIFF" and not _MAY_BE_TURNED.search(data):
        return 1
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata turns no picture
        return 1
    return value if value in range(1, 9) else 1
