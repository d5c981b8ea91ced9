"""The layouts that can be read, and what to tell someone whose folder is laid out otherwise."""

from __future__ import annotations

from pathlib import Path

from manifests.errors import UserError
from pipeline.common.known import check_known
from pipeline.sources import cuhk03, dukemtmc, folder, market1501, msmt17, prid2011, toyworld_layout
from pipeline.sources.files import SourceFile, SourceRoot
from pipeline.sources.layout_base import Layout, LayoutError, ScanOptions

LAYOUTS: dict[str, Layout] = {
    module.LAYOUT.name: module.LAYOUT
    for module in (market1501, dukemtmc, msmt17, cuhk03, prid2011, folder, toyworld_layout)
}


def get_layout(name: str) -> Layout:
    """The layout of that name.

    Raises:
        UserError: there is none.
    """
    check_known("layout", [name], LAYOUTS)
    return LAYOUTS[name]


def scan(layout: Layout, root: Path, options: ScanOptions) -> list[SourceFile]:
    """Every image file below ``root`` as ``layout`` reads it: sorted by path, deterministic, faults included."""
    return scan_and_remark(layout, root, options)[0]


def scan_and_remark(layout: Layout, root: Path, options: ScanOptions) -> tuple[list[SourceFile], list[str]]:
    """The same, and lines about what a person may not expect.

    Raises:
        UserError: no such folder, an empty folder, or another layout: says what was looked for and where, and
            which layout or subfolder would fit.
    """
    source = SourceRoot(root)
    try:
        return layout.scan(source, options), source.remarks
    except LayoutError as error:
        raise UserError(f"no {layout.name} layout in {root}: {error}{_hint(layout, source)}") from None


def _hint(layout: Layout, root: SourceRoot) -> str:
    fitting = [other.name for other in LAYOUTS.values() if other is not layout and other.recognises(root)]
    if fitting:
        return f"; it looks like --layout {fitting[-1]}"
    below = [SourceRoot(root.path / name) for name in root.folders() if root.names(name)]
    if nested := [source.path.name for source in below if layout.recognises(source)]:
        return f"; its folder {nested[0]} fits: give that as --root"
    nested_others = [
        (source.path.name, other.name) for source in below for other in LAYOUTS.values() if other.recognises(source)
    ]
    if nested_others:
        name, other_name = nested_others[0]
        return f"; its folder {name} looks like --layout {other_name}"
    return ""
