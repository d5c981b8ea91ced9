"""Decoding refuses what cannot be trusted; encoding and masks round-trip."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from manifests.format.annotation_values import read_mask
from pipeline.common.images import (
    JPEG_QUALITY,
    ImageError,
    decode,
    draw_contact_sheet,
    encode,
    encode_mask,
    pixel_sha256,
    resize,
    resize_mask,
)


def picture(height: int = 128, width: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def test_png_and_lossless_webp_round_trip() -> None:
    image = picture()
    assert np.array_equal(decode(encode(image, "png")), image)
    assert np.array_equal(decode(encode(image, "webp", 101)), image)
    assert pixel_sha256(image) != pixel_sha256(image[::-1])


def test_jpeg_keeps_full_colour_resolution() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2] = (255, 0, 0)
    image[:, 1::2] = (0, 0, 255)
    assert np.abs(decode(encode(image)).astype(int) - image).max() < 40


def test_jpeg_is_as_near_as_pillows_of_the_same_quality() -> None:
    """Below 96, simplejpeg's is coarser than it says, with ``fastdct=False`` too."""
    image = picture()
    buffer = saved(Image.fromarray(image), "JPEG", quality=JPEG_QUALITY, subsampling=0)
    ours, theirs = (np.square(decode(data).astype(float) - image).mean() for data in (encode(image), buffer))
    assert ours == pytest.approx(theirs, rel=0.02)
    coarse, fine = (encode(image, quality=quality) for quality in (JPEG_QUALITY - 1, JPEG_QUALITY))
    assert np.square(decode(coarse).astype(float) - image).mean() > 1.2 * ours
    assert len(coarse) < len(fine)


def test_truncated_jpeg_is_refused() -> None:
    data = encode(picture())
    with pytest.raises(ImageError) as caught:
        decode(data[: len(data) // 2])
    assert caught.value.reason == "corrupt"


def test_lying_jpeg_height_is_refused() -> None:
    data = bytearray(encode(picture()))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 7] = (240).to_bytes(2, "big")
    with pytest.raises(ImageError, match="premature end"):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"not an image at all", "unknown_format"),
        (saved(Image.new("CMYK", (8, 8)), "JPEG"), "cmyk"),
        (saved(Image.new("1", (5000, 5000)), "PNG"), "too_many_pixels"),
        (saved(Image.new("RGB", (8, 8)), "PNG")[:50], "corrupt"),
    ],
)
def test_bad_input_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert caught.value.reason == reason


def test_exif_rotation_is_ignored_alpha_dropped_and_grey_tripled() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(saved(Image.new("RGB", (8, 16)), "JPEG", exif=exif)).shape == (16, 8, 3)
    assert decode(saved(Image.new("RGBA", (8, 16), (10, 20, 30, 0)), "PNG"))[0, 0].tolist() == [10, 20, 30]
    assert decode(saved(Image.new("L", (8, 16), 77), "JPEG"))[0, 0].tolist() == [77, 77, 77]


@pytest.mark.parametrize("rows", [40, 64, 100], ids=["shrinks too", "stays", "grows"])
def test_an_axis_that_shrinks_is_averaged_whatever_the_other_does(rows: int) -> None:
    stripes = np.zeros((64, 256, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.unique(resize(stripes, rows, 64)).tolist() == [100]
    assert np.unique(resize(stripes.transpose(1, 0, 2), 64, rows)).tolist() == [100]
    third = np.zeros((64, 96), np.bool_)
    third[:, 1::3] = True
    assert not resize_mask(third, rows, 32).any()
    assert resize_mask(~third, rows, 32).all()


def test_masks_round_trip_in_one_bit() -> None:
    mask = np.random.default_rng(1).random((128, 64)) > 0.5
    data = encode_mask(mask)
    assert read_mask(data, 128, 64).tobytes() == mask.tobytes()
    assert Image.open(io.BytesIO(data)).mode == "1"
    half = resize_mask(np.repeat(np.repeat(mask, 2, 0), 2, 1), 128, 64)
    assert np.array_equal(half, mask)


def test_contact_sheet_places_ragged_rows() -> None:
    red = np.full((20, 10, 3), (255, 0, 0), np.uint8)
    sheet = draw_contact_sheet([[red, red], [red]], cell_height=20, cell_width=10, gap=2)
    assert sheet.shape == (46, 26, 3)
    assert sheet[2:22, 14:24].tolist() == red.tolist()
    assert (sheet[24:, 14:] == 255).all()
