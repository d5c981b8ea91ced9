"""CUHK03-NP: CUHK03 under its new protocol, in Market-1501's three folders with names like ``0001_c1_1.png``.

Identity, camera (the view, 1 or 2), number of the picture. There is a set of folders for each kind of box,
``detected/`` and ``labeled/``: give one of the two as the root. `pipeline.sources.cuhk03` reads the published images
and split instead.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017.
"""

from __future__ import annotations

import re

from pipeline.sources import market1501
from pipeline.sources.files import Fault, SourceFile, SourceRoot
from pipeline.sources.layout_base import Layout, ScanOptions

CAMERAS = 2
_EXAMPLE = "0001_c1_1.png"
_NAME = re.compile(r"(\d{1,9})_c(\d{1,4})_(\d{1,9})", re.ASCII)


def parse(stem: str) -> market1501.Parsed | Fault:
    """Read a CUHK03-NP name without its suffix."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return Fault("unparsable_name", f"not a name like {_EXAMPLE}")
    identity, camera, picture = match.groups()
    if not 1 <= int(camera) <= CAMERAS:
        return Fault("bad_camera", f"camera {int(camera)}, CUHK03-NP has 1 and 2")
    return market1501.Parsed("person", market1501.person_name(identity), int(camera), None, int(picture))


def scan(root: SourceRoot, options: ScanOptions) -> list[SourceFile]:
    """Files of a CUHK03-NP folder."""
    return market1501.scan_folders(root, parse, _EXAMPLE)


LAYOUT = Layout(
    name="cuhk03_np",
    scan=scan,
    recognises=lambda root: market1501.reads_names(root, parse),
)
