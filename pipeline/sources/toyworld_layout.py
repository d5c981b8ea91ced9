"""The toy world's own output: Market-1501's layout with the ground truth beside it.

``ground_truth/annotations.parquet`` holds what only a drawn world knows: exact masks, keypoints,
attributes. The reader does not open it; it is what annotations are measured against.
"""

from __future__ import annotations

from pipeline.sources import market1501
from pipeline.sources.files import SourceFile, SourceRoot
from pipeline.sources.layout_base import Layout, LayoutError, ScanOptions

GROUND_TRUTH = "ground_truth/annotations.parquet"


def scan(root: SourceRoot, options: ScanOptions) -> list[SourceFile]:
    """Files of one domain that ``jobs/make_toyworld.py`` has drawn.

    Raises:
        LayoutError: as for Market-1501, or there is no ground truth.
    """
    if not root.has_file(GROUND_TRUTH):
        raise LayoutError(f"looked for {GROUND_TRUTH}, found {root.shown()}")
    return market1501.scan(root, options)


LAYOUT = Layout(
    name="toyworld",
    scan=scan,
    recognises=lambda root: root.has_file(GROUND_TRUTH) and market1501.LAYOUT.recognises(root),
    licence="Apache-2.0",
    consent_basis="no real person: drawn by a program",
)
