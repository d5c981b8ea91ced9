"""The layouts that can be read, and what to tell someone whose folder is laid out otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from manifests.common.pictures import SUFFIXES
from manifests.errors import UserError
from pipeline.common.known import check_known
from pipeline.sources import cuhk03, cuhk03_np, dukemtmc, folder, market1501, msmt17, prid2011, toyworld_layout
from pipeline.sources.files import SPLITS, SourceFile, SourceRoot
from pipeline.sources.layout_base import Layout, LayoutError, ScanOptions

_SHOWN = 6
LAYOUTS: dict[str, Layout] = {
    module.LAYOUT.name: module.LAYOUT
    for module in (market1501, dukemtmc, msmt17, cuhk03, cuhk03_np, prid2011, folder, toyworld_layout)
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
        files = layout.scan(source, options)
    except LayoutError as error:
        passed = "".join(f"; {line}" for line in _passed_over(source, options))
        raise UserError(f"no {layout.name} layout in {root}: {error}{passed}{_hint(layout, source)}") from None
    return files, [*source.remarks, *_passed_over(source, options), *_remarks(files, _can_be_labelled(layout, options))]


def _can_be_labelled(layout: Layout, options: ScanOptions) -> bool:
    return "labels" in layout.options and options.labels is None


def _remarks(files: Sequence[SourceFile], can_be_labelled: bool) -> Iterator[str]:
    """What most uses of the set would stumble over: nobody known, no camera known, people on both sides."""
    usable = [file for file in files if file.fault is None]
    how = "; --labels gives a table of them" if can_be_labelled else ""
    if usable and all(file.identity is None for file in usable):
        yield f"no image says who is on it: that is enough for a target domain, not to train or evaluate ReID{how}"
    if usable and all(file.camera is None for file in usable):
        yield (
            "no image says which camera took it: evaluation leaves out what the query's own camera saw, "
            f"so it needs cameras, or evaluate_reid --count-same-camera{how}"
        )
    people = {split: {file.identity for file in usable if file.split == split} - {None} for split in SPLITS}
    if both := sorted(str(name) for name in people["train"] & (people["query"] | people["gallery"])):
        shown = ", ".join(both[:_SHOWN]) + (", ..." if len(both) > _SHOWN else "")
        alike = f"people in training and test alike: {len(both)} ({shown})"
        yield f"{alike}: evaluation then asks a network about people whom it knows"


def _passed_over(root: SourceRoot, options: ScanOptions) -> list[str]:
    """A line about files that are no images by their names, or none; what was given to be read is not among them."""
    counts = root.passed_over()
    for given in (options.labels, options.split_file):
        if given is not None and given.resolve().is_relative_to(root.path):
            counts -= Counter([given.suffix.lower()])
    if not counts:
        return []
    shown = ", ".join(f"{suffix} {count}" for suffix, count in counts.most_common(_SHOWN))
    more = f" and {len(counts) - _SHOWN} others" if len(counts) > _SHOWN else ""
    known = " ".join(sorted(SUFFIXES))
    return [f"files passed over, by suffix: {shown}{more}; images are {known}"]


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
