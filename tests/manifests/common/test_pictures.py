"""Hostile bytes are refused before they cost memory, and nothing but a `PictureError` comes of them."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from manifests.common import pictures
from manifests.common.pictures import FORMATS, PictureError, load_picture, open_picture
from tests.manifests.manifest_rows import picture


def saved(image: Image.Image, image_format: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format)
    return stream.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A small PNG with another size in its header, and the header's checksum right."""
    data = picture(0)[0]
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


@pytest.mark.parametrize("image_format", FORMATS)
def test_pictures_of_every_format_that_sources_have(image_format: str) -> None:
    loaded = load_picture(picture(0, image_format=image_format)[0])
    assert (loaded.size, loaded.format) == ((8, 16), image_format)


@pytest.mark.parametrize("image_format", ["EPS", "GIF", "PDF", "ICO", "TGA"])
def test_other_formats_are_not_opened(image_format: str) -> None:
    with pytest.raises(PictureError, match="no header of JPEG"):
        open_picture(saved(Image.new("RGB", (16, 16)), image_format))


@pytest.mark.parametrize("size", [(5000, 5000), (20000, 20000), (1, 1 << 25)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_size_in_the_header_is_limited_before_anything_is_decoded(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    with pytest.raises(PictureError, match="pixels"):
        load_picture(png_that_claims(*size))


def test_a_jpeg_that_claims_more_rows_than_it_has() -> None:
    data = bytearray(picture(0, image_format="JPEG")[0])
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 7] = (64).to_bytes(2, "big")
    with pytest.raises(PictureError, match="premature end"):
        load_picture(bytes(data))


def test_jpeg_pixels_are_those_of_pillow() -> None:
    data = picture(0, image_format="JPEG")[0]
    with Image.open(io.BytesIO(data)) as expected:
        assert load_picture(data).tobytes() == expected.tobytes()


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpegs_without_three_channels(mode: str) -> None:
    assert load_picture(saved(Image.new(mode, (8, 16)), "JPEG")).mode == mode


def test_bytes_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_BYTES", 10)
    with pytest.raises(PictureError, match="more than the 10 "):
        open_picture(picture(0)[0])


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture(data: bytes) -> None:
    with pytest.raises(PictureError):
        load_picture(data)


@pytest.mark.filterwarnings("ignore")  # of what Pillow thinks of damaged bytes
@given(
    image_format=st.sampled_from(FORMATS),
    flips=st.lists(st.tuples(st.integers(0, 1 << 12), st.integers(1, 255)), max_size=4),
    cut=st.integers(0, 1 << 12),
)
def test_damaged_bytes_raise_nothing_else(image_format: str, flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(picture(0, image_format=image_format)[0])
    for place, mask in flips:
        data[place % len(data)] ^= mask
    with contextlib.suppress(PictureError):
        load_picture(bytes(data[: cut + 1]))
