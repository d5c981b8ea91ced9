"""Small pictures as addresses that hold them, for pages and notebooks."""

from __future__ import annotations

import base64
import io

from PIL import Image

from manifests.common.pictures import PictureError, decode_picture

_BOX = (192, 192)
_QUALITY = 82


def open_image(data: bytes | None) -> Image.Image | None:
    """The picture as a thumbnail, RGB, its aspect kept; None where the bytes are none or are no sensible picture."""
    if not data:
        return None
    try:
        small = Image.fromarray(decode_picture(data))
    except (PictureError, ValueError):
        return None
    small.thumbnail(_BOX, Image.Resampling.LANCZOS)
    return small


def encode(image: Image.Image) -> str:
    """The picture as an address that holds it."""
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=_QUALITY, method=4)
    return data_uri(stream.getvalue(), "image/webp")


def data_uri(data: bytes, media_type: str) -> str:
    """``data`` as an address that holds it."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
