"""What an image file says of itself in its metadata, signed by nobody: IPTC's digital source type, in XMP or C2PA."""

from __future__ import annotations

import html
import re

from manifests.format.schema import TRAINED_ALGORITHMIC_MEDIA
from manifests.reading.runs import SOFTWARE

_MARK = re.compile(
    rb'digitalsourcetype/\w*(?i:%s)|xmp:CreatorTool="%s[",]' % (TRAINED_ALGORITHMIC_MEDIA.encode(), SOFTWARE.encode())
)
"""In IPTC's vocabulary, as XMP and C2PA have it: made by a trained model, wholly or in part; or by us, in whatever way.
What else IPTC calls composites and altered images are mostly photographs."""
_NAMED = {
    "system": re.compile(
        rb'(?:Iptc4xmpExt:AISystemUsed="|xmp:CreatorTool="(?=%s, ))([^"]{1,200})"' % SOFTWARE.encode()
    ),
    "sample_id": re.compile(rb'dc:identifier="([0-9a-f]{32})"'),
}
"""What `manifests.exports.marking` writes beside it."""


def says_generated(data: bytes) -> bool:
    """Whether an image file says that a trained model made it, or a part of it, or that we did."""
    return _MARK.search(data) is not None


def named_in(data: bytes) -> dict[str, str]:
    """Which system and which sample such a file names, as far as it does."""
    found = {name: pattern.search(data) for name, pattern in _NAMED.items()}
    return {name: html.unescape(one[1].decode(errors="replace")) for name, one in found.items() if one}
