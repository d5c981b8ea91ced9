"""Hostile bytes are refused before they cost memory, and nothing but a `PictureError` comes of them."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from manifests.common import pictures
from manifests.common.pictures import FORMATS, PictureError, decode_picture, load_picture, open_picture, orientation
from tests.manifests.manifest_rows import picture


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
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
        decode_picture(bytes(data))


def test_a_jpeg_is_decoded_into_the_room_that_it_fits_and_nothing_else_is() -> None:
    jpeg, (png, image) = picture(0, image_format="JPEG")[0], picture(0)
    room, larger = np.zeros_like(image), np.zeros((image.shape[0] + 1, *image.shape[1:]), np.uint8)
    assert decode_picture(jpeg, room) is room
    assert np.array_equal(room, decode_picture(jpeg))
    assert decode_picture(png, room) is not room
    assert np.array_equal(decode_picture(jpeg, larger), room)
    assert not larger.any()


@pytest.mark.filterwarnings("ignore::UserWarning")  # of what Pillow's own conversion does to palettes
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA"])
@pytest.mark.parametrize("image_format", FORMATS)
def test_pixels_are_those_of_pillow(image_format: str, mode: str) -> None:
    image = Image.fromarray(picture(0)[1]).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    try:
        data = saved(image.convert(mode), image_format)
    except OSError:
        pytest.skip(f"{image_format} has no {mode}")
    with Image.open(io.BytesIO(data)) as expected:
        assert np.array_equal(decode_picture(data), np.asarray(expected.convert("RGB")))


def test_of_sixteen_bits_the_upper_eight_are_kept() -> None:
    deep = np.random.default_rng(0).integers(0, 1 << 16, (16, 8)).astype(np.uint16)
    png, tiff = saved(Image.fromarray(deep), "PNG"), saved(Image.fromarray(deep), "TIFF")
    for data in (png, tiff, b"P5\n8 16\n65535\n" + deep.astype(">u2").tobytes()):
        assert np.array_equal(decode_picture(data), np.repeat((deep >> 8).astype(np.uint8)[:, :, None], 3, axis=2))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (saved(Image.new("CMYK", (8, 16)), "JPEG"), "cmyk"),
        (saved(Image.new("F", (8, 16)), "TIFF"), "unknown_mode"),
        (saved(Image.new("I", (8, 16)), "TIFF"), "unknown_mode"),
        (saved(Image.new("LAB", (8, 16)), "TIFF"), "unknown_mode"),
        (saved(Image.new("1", (8, 16)), "TIFF", compression="group4"), "unknown_mode"),
        (saved(Image.new("RGB", (8, 16)), "GIF"), "unknown_format"),
        (saved(Image.new("1", (5000, 5000)), "PNG"), "too_many_pixels"),
    ],
)
def test_what_is_refused_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(PictureError) as caught:
        decode_picture(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_stray_bytes_before_the_end_marker_cost_no_pixel(options: dict[str, object]) -> None:
    jpeg = saved(Image.fromarray(picture(0, 32, 64)[1]), "JPEG", **options)
    for count in (1, 2, 3, 20):
        assert np.array_equal(decode_picture(jpeg[:-2] + b"\0" * count + jpeg[-2:]), decode_picture(jpeg))
    for lost in (3, 10, 100):
        with pytest.raises(PictureError, match="premature end"):
            decode_picture(jpeg[:-lost] + jpeg[-2:])


def test_a_tiff_whose_decoder_gives_up_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    tiff = bytearray(saved(Image.fromarray(picture(0, 32, 64)[1]), "TIFF", compression="tiff_deflate"))
    tiff[len(tiff) // 2] ^= 8
    with pytest.raises(PictureError) as caught:
        decode_picture(bytes(tiff))
    assert caught.value.reason == "corrupt"


def test_a_png_whose_checksums_are_wrong_is_refused() -> None:
    png = bytearray(picture(0)[0])
    png[png.index(b"IEND") - 5] ^= 1  # the last byte of the pixels' checksum
    with pytest.raises(PictureError):
        decode_picture(bytes(png))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_told_and_not_applied(image_format: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    image = Image.fromarray(picture(0)[1])
    turned = saved(image, image_format, exif=exif)
    assert (orientation(turned), orientation(saved(image, image_format))) == (3, 1)
    if image_format != "TIFF":  # which every program turns, Pillow included
        assert decode_picture(turned).tobytes() == decode_picture(saved(image, image_format)).tobytes()


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
        assert decode_picture(bytes(data[: cut + 1])).ndim == 3
