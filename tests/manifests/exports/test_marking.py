from __future__ import annotations

import io
import struct
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from manifests.detecting.embedded import named_in, says_generated
from manifests.exports.marking import mark_synthetic

EXTENSION = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
TRAINED = "trainedAlgorithmicMedia"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def encoded(image_format: str, mode: str = "RGB", size: tuple[int, int] = (9, 17), **options: object) -> bytes:
    pixels = np.random.Generator(np.random.Philox(3)).integers(0, 256, (size[1], size[0], 4), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, image_format, **options)
    return stream.getvalue()


def properties(data: bytes) -> dict[str, str]:
    """What the one XMP packet of an image file says, by qualified name."""
    with Image.open(io.BytesIO(data)) as image:
        packet = image.info["XML:com.adobe.xmp"].encode() if image.format == "PNG" else image.info["xmp"]
    (description,) = ET.fromstring(packet).iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    return dict(description.attrib)


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format is not None
        return np.array(image)


FILES = {
    "jpeg": encoded("JPEG", quality=95, subsampling=0),
    "jpeg with EXIF": encoded("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
    "progressive jpeg": encoded("JPEG", progressive=True),
    "png": encoded("PNG"),
    "png with alpha": encoded("PNG", "RGBA"),
    "webp": encoded("WEBP", quality=90),
    "lossless webp": encoded("WEBP", lossless=True),
    "lossless webp with alpha": encoded("WEBP", "RGBA", lossless=True),
    "webp with alpha": encoded("WEBP", "RGBA"),
    "webp of an odd size": encoded("WEBP", size=(301, 7)),
}


@pytest.mark.parametrize("name", FILES)
def test_the_mark_is_read_and_the_pixels_stay(name: str) -> None:
    marked = mark_synthetic(FILES[name], "ab" * 16, "ptgan", "3", TRAINED)
    found = properties(marked)
    assert found[f"{EXTENSION}DigitalSourceType"] == SOURCE_TYPE
    assert found[f"{EXTENSION}AISystemUsed"] == "reid-synth, recipe ptgan"
    assert found[f"{EXTENSION}AISystemVersionUsed"] == "3"
    assert found["{http://purl.org/dc/elements/1.1/}identifier"] == "ab" * 16
    assert np.array_equal(pixels(marked), pixels(FILES[name]))
    assert len(marked) < len(FILES[name]) + 1000


@pytest.mark.parametrize("source_type", ["composite", "algorithmicallyEnhanced", "algorithmicMedia"])
def test_what_no_model_made_names_no_model(source_type: str) -> None:
    marked = mark_synthetic(FILES["png"], "ab" * 16, "pasted", "3", source_type)
    found = properties(marked)
    assert found[f"{EXTENSION}DigitalSourceType"] == f"http://cv.iptc.org/newscodes/digitalsourcetype/{source_type}"
    assert found["{http://ns.adobe.com/xap/1.0/}CreatorTool"] == "reid-synth, recipe pasted 3"
    assert not [name for name in found if "AISystem" in name]
    assert says_generated(marked)
    assert named_in(marked) == {"system": "reid-synth, recipe pasted 3", "sample_id": "ab" * 16}


def test_photographs_that_others_altered_are_not_called_generated() -> None:
    marked = mark_synthetic(FILES["png"], "ab" * 16, "pasted", "3", "composite")
    assert not says_generated(marked.replace(b'"reid-synth, recipe pasted 3"', b'"Another Program of 2026 X"'))


@pytest.mark.parametrize("name", FILES)
def test_marking_again_replaces_the_mark(name: str) -> None:
    once = mark_synthetic(FILES[name], "ab" * 16, "ptgan", "3", TRAINED)
    assert mark_synthetic(once, "ab" * 16, "ptgan", "3", TRAINED) == once
    other = mark_synthetic(once, "cd" * 16, "cgan", "4", TRAINED)
    assert properties(other)["{http://purl.org/dc/elements/1.1/}identifier"] == "cd" * 16
    assert other.count(b"AISystemUsed") == 1
    assert np.array_equal(pixels(other), pixels(FILES[name]))


def test_what_stood_in_front_stays_in_front() -> None:
    marked = mark_synthetic(FILES["jpeg with EXIF"], "ab" * 16, "ptgan", "3", TRAINED)
    assert marked.index(b"JFIF") < marked.index(b"Exif\0\0") < marked.index(b"DigitalSourceType")
    with Image.open(io.BytesIO(marked)) as image:
        assert "exif" in image.info


def test_webp_header_tells_the_canvas_and_the_flags() -> None:
    marked = mark_synthetic(FILES["webp of an odd size"], "ab" * 16, "ptgan", "3", TRAINED)
    assert struct.unpack_from("<I", marked, 4)[0] == len(marked) - 8
    assert marked[12:16] == b"VP8X"
    assert marked[20] == 0x04
    assert int.from_bytes(marked[24:27], "little") + 1 == 301
    assert int.from_bytes(marked[27:30], "little") + 1 == 7
    with_alpha = mark_synthetic(FILES["lossless webp with alpha"], "ab" * 16, "ptgan", "3", TRAINED)
    assert with_alpha[20] & 0x14 == 0x14


def test_names_are_escaped() -> None:
    marked = mark_synthetic(FILES["png"], "ab" * 16, 'a "recipe" <&>', "3", TRAINED)
    assert properties(marked)[f"{EXTENSION}AISystemUsed"] == 'reid-synth, recipe a "recipe" <&>'


@pytest.mark.parametrize("data", [b"", b"GIF89a", encoded("BMP"), FILES["webp"][:18], b"\xff\xd8\xff", b"\xff\xd8"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"neither JPEG|ends early"):
        mark_synthetic(data, "ab" * 16, "ptgan", "3", TRAINED)
