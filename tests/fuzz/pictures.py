"""Decoders: JPEG, PNG, WebP and other formats with broken headers and bodies."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from manifests.common.pictures import MAX_PIXELS
from manifests.format.annotation_values import read_mask
from pipeline.common.images import decode, encode, encode_mask
from tests.fuzz.mutations import mutated_bytes
from tests.fuzz.target import Reader, Target

_OTHERS = ("BMP", "TIFF", "PPM", "GIF")


def set_up() -> Reader:
    """Small pictures of every format, grey, transparent and progressive ones too."""
    random = np.random.Generator(np.random.Philox(0))
    pixels = random.integers(0, 256, (24, 16, 3), dtype=np.uint8)
    originals = [encode(pixels, form) for form in ("jpeg", "png", "webp")]
    picture = Image.fromarray(pixels)
    originals += [_saved(picture, form) for form in _OTHERS]
    originals += [_saved(picture, "JPEG", progressive=True), _saved(picture.convert("L"), "JPEG")]
    originals += [_saved(picture.convert("CMYK"), "JPEG"), _saved(picture.convert("RGBA"), "PNG")]
    originals += [_saved(picture.convert("P"), "PNG"), _saved(picture.convert("RGBA"), "WEBP", lossless=True)]
    originals += [encode_mask(pixels[:, :, 0] > 127)]
    return Reader(mutated_bytes(*originals), read)


def read(data: bytes) -> None:
    """Decode as a picture and as a mask."""
    try:
        image = decode(data)
    finally:
        _mask(data)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert 0 < image.shape[0] * image.shape[1] <= MAX_PIXELS


def _mask(data: bytes) -> None:
    try:
        mask = read_mask(data, 24, 16)
    except ValueError:
        return
    assert mask.dtype == np.bool_
    assert mask.shape == (24, 16)


def _saved(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


TARGETS = {"pictures": Target(1.5, set_up)}
