"""Pictures out of bytes that somebody else wrote: limits come before decoding, and only plain formats are decoded."""

from __future__ import annotations

import hashlib
import io

import simplejpeg
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")
"""What source images come in. Pillow knows more, some of which start other programs (EPS) or hold other files."""
MAX_BYTES = 64 << 20
MAX_PIXELS = 1 << 24


class PictureError(ValueError):
    """Bytes that are no picture, or none that should be decoded."""


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
        PictureError: more than `MAX_BYTES` or, by its header, `MAX_PIXELS`; none of `FORMATS`.
    """
    if len(data) > MAX_BYTES:
        raise PictureError(f"{len(data)} bytes are more than the {MAX_BYTES} that a picture may have")
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise PictureError(str(error)) from None
    except Exception as error:  # Pillow's plugins raise many types on hostile bytes
        raise PictureError(f"no header of {', '.join(FORMATS)}: {error!r}") from None
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width} x {picture.height} pixels"
        picture.close()
        raise PictureError(f"{size} are more than the {MAX_PIXELS} that a picture may have")
    return picture


def load_picture(data: bytes) -> Image.Image:
    """The same with its pixels decoded; of colour JPEGs nothing but ``format`` and size is kept beside them.

    Raises:
        PictureError: `open_picture`'s reasons; the bytes end too early or are damaged where the decoder can tell.
    """
    picture = open_picture(data)
    try:
        if picture.format == "JPEG" and picture.mode == "RGB":
            # Pillow pads a frame that ends early and says nothing; the strict decoder refuses it.
            strict = Image.fromarray(simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True))
            strict.format = picture.format
            return strict
        picture.load()
    except Exception as error:
        raise PictureError(str(error) or repr(error)) from None
    return picture
