"""Marks of synthetic origin inside image files: an XMP packet, put in beside the pixels, which stay as they are.

The packet says by IPTC's properties what an image is (``DigitalSourceType``) and which trained model made it
(``AISystemUsed``, ``AISystemVersionUsed``); where none did, it names the program alone (``CreatorTool``). Containers:
JPEG (Adobe, "XMP Specification Part 3", section 1.1.3), PNG (an iTXt chunk; PNG, third edition, 11.3.3.4), WebP (RFC
9649, section 2.7).

IPTC Photo Metadata Standard 2025.1; vocabulary http://cv.iptc.org/newscodes/digitalsourcetype/.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

from manifests.format.schema import TRAINED_ALGORITHMIC_MEDIA, source_type_uri
from manifests.reading.runs import SOFTWARE

_NAMESPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about=""
 {}/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""

_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_XMP = b"XML:com.adobe.xmp\0"
_WEBP_HAS_XMP, _WEBP_HAS_ALPHA = 0x04, 0x10


def mark_synthetic(data: bytes, sample_id: str, recipe: str, version: str, source_type: str) -> bytes:
    """The JPEG, PNG or WebP file ``data`` with the mark in it, which says that it is of ``source_type``, one of
    `manifests.format.schema.SOURCE_TYPES`; an XMP packet that was there is replaced.

    Raises:
        ValueError: ``data`` is of another format, or its container is broken.
    """
    packet = _packet(sample_id, recipe, version, source_type)
    try:
        if data.startswith(b"\xff\xd8"):
            return _in_jpeg(data, packet)
        if data.startswith(_PNG_SIGNATURE):
            return _in_png(data, packet)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _in_webp(data, packet)
    except (struct.error, IndexError):
        raise ValueError("its container ends early") from None
    raise ValueError("neither JPEG, PNG nor WebP: it cannot be marked as synthetic")


def _packet(sample_id: str, recipe: str, version: str, source_type: str) -> bytes:
    tool = f"{SOFTWARE}, recipe {recipe}"
    if source_type == TRAINED_ALGORITHMIC_MEDIA:
        by = {
            "Iptc4xmpExt:AISystemUsed": tool,
            "Iptc4xmpExt:AISystemVersionUsed": version,
            "xmp:CreatorTool": SOFTWARE,
        }
    else:
        by = {"xmp:CreatorTool": f"{tool} {version}"}
    values = {"Iptc4xmpExt:DigitalSourceType": source_type_uri(source_type), **by, "dc:identifier": sample_id}
    spaces = {f"xmlns:{prefix}": uri for prefix, uri in _NAMESPACES.items()}
    pairs = (f"{name}={quoteattr(value)}" for name, value in (spaces | values).items())
    return _PACKET.format("\n ".join(pairs)).encode()


def _in_jpeg(data: bytes, packet: bytes) -> bytes:
    """As an APP1 segment after the leading APP0 and APP1 (JFIF and EXIF want to come first)."""
    position = 2
    kept = [data[:2]]
    while data[position] == 0xFF and data[position + 1] in (0xE0, 0xE1):
        end = position + 2 + struct.unpack_from(">H", data, position + 2)[0]
        if not data.startswith(_JPEG_XMP, position + 4):
            kept.append(data[position:end])
        position = end
    body = _JPEG_XMP + packet
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return b"".join([*kept, segment, data[position:]])


def _in_png(data: bytes, packet: bytes) -> bytes:
    """As an uncompressed iTXt chunk after the header chunk."""
    body = b"iTXt" + _PNG_XMP + b"\0\0\0\0" + packet
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    header, *others = _png_chunks(data)
    return b"".join([_PNG_SIGNATURE, header, chunk, *(one for one in others if not one.startswith(_PNG_XMP, 8))])


def _png_chunks(data: bytes) -> Iterator[bytes]:
    position = len(_PNG_SIGNATURE)
    while position < len(data):
        size = 12 + struct.unpack_from(">I", data, position)[0]
        yield data[position : position + size]
        position += size


def _in_webp(data: bytes, packet: bytes) -> bytes:
    """As the last chunk, announced by the flags of the VP8X header, which a plain file gets."""
    chunks = [(name, body) for name, body in _webp_chunks(data) if name != b"XMP "]
    if chunks[0][0] == b"VP8X":
        flags, rest = chunks[0][1][0], chunks[0][1][1:]
        chunks[0] = (b"VP8X", bytes([flags | _WEBP_HAS_XMP]) + rest)
    else:
        chunks.insert(0, (b"VP8X", _webp_header(*chunks[0])))
    body = b"".join(
        name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2)
        for name, part in (*chunks, (b"XMP ", packet))
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position, end = 12, 8 + struct.unpack_from("<I", data, 4)[0]
    while position < end:
        size = struct.unpack_from("<I", data, position + 4)[0]
        yield data[position : position + 4], data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def _webp_header(name: bytes, body: bytes) -> bytes:
    """The VP8X header of a file that is one lossy (``VP8 ``) or lossless (``VP8L``) bit stream."""
    flags = _WEBP_HAS_XMP
    if name == b"VP8L":
        bits = struct.unpack_from("<I", body, 1)[0]
        width, height = bits & 0x3FFF, bits >> 14 & 0x3FFF  # both less one, as VP8X wants them
        flags |= _WEBP_HAS_ALPHA if bits >> 28 & 1 else 0
    else:
        width, height = ((size & 0x3FFF) - 1 for size in struct.unpack_from("<HH", body, 6))
    return struct.pack("<I", flags) + width.to_bytes(3, "little") + height.to_bytes(3, "little")
