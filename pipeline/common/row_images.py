"""Images of a manifest's rows, decoded: the very bytes that the row is about, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from manifests.common.pictures import PictureError, check_digest
from manifests.errors import UserError
from pipeline.common.images import ImageError, RgbImage, decode

PICTURE = ("image", "image_sha256", "width", "height")
"""Columns that decoding a row takes."""


def decode_row(row: Mapping[str, Any], into: RgbImage | None = None) -> RgbImage:
    """The image of a source or synthetic row (its columns `PICTURE`); ``into`` as `decode` has it.

    Raises:
        ImageError: the reasons of `pipeline.common.images.decode`; ``digest_mismatch``: the bytes are not those that
            the row names, so nobody knows who is on them; ``size_mismatch``: nor is their size.
    """
    data = (row["image"] or {}).get("bytes")
    if not data:
        raise ImageError("empty", "the row has no picture")
    try:
        check_digest(data, row["image_sha256"])
    except PictureError as error:
        raise ImageError("digest_mismatch", str(error)) from None
    image = decode(data, into)
    if image.shape[:2] != (row["height"], row["width"]):
        said = f"{row['height']} x {row['width']}"
        raise ImageError("size_mismatch", f"the row says {said}, its picture is {image.shape[0]} x {image.shape[1]}")
    return image


def image_of(row: Mapping[str, Any], uri: str) -> RgbImage:
    """The same where every row counts: of the data set at ``uri``.

    Raises:
        UserError: the image cannot be used.
    """
    try:
        return decode_row(row)
    except ImageError as error:
        name = (row["image_sha256"] or "")[:12]
        raise UserError(f"image {name} of {uri} cannot be used ({error.reason}): {error}") from None
