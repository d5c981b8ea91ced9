"""CUHK03: ``images_detected/`` or ``images_labeled/`` and a split as JSON.

Names like ``1_001_1_01.png``: pair of cameras, person within that pair, view (1 or 2), picture (1-5 of
the first view, 6-10 of the second); as the tools that unpack the published MATLAB file write them. The
set numbers persons within each pair, so that the identity here is ``1-001``. The camera is the view, as
in its benchmarks, and the sequence the pair: which of the six physical cameras make up which pair is not
published.

The split is ``splits_new_detected.json`` or ``splits_new_labeled.json`` (767 training and 700 test
identities): a list of splits, each with lists ``train``, ``query`` and ``gallery`` of [path, number of
the identity, view from 0]. Of a path only the file's name counts (the folder was that of another
machine), and of the numbers only the view, which must be the name's: the training part numbers identities
anew. The classic splits have no gallery of their own and are refused.

Li et al., "DeepReID: Deep Filter Pairing Neural Network for Person Re-identification", CVPR 2014; new
split: Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

from manifests.errors import UserError
from pipeline.sources.files import SPLITS, Entry, Fault, SourceFile, SourceRoot, Split, faulty, finish
from pipeline.sources.layout_base import Layout, LayoutError, ScanOptions

VARIANTS = ("detected", "labeled")
_NAME = re.compile(r"([1-5])_(\d{1,4})_([12])_(\d{1,4})", re.ASCII)


def scan(root: SourceRoot, options: ScanOptions) -> list[SourceFile]:
    """Files of a CUHK03 folder: those of the split, and as faults those that it does not name.

    Raises:
        LayoutError: there is no image folder or no split file.
        UserError: an unknown variant, a split that cannot be used.
    """
    folder, variant = _images(root, options.variant)
    path = options.split_file or root.path / f"splits_new_{variant}.json"
    if not path.is_file():
        raise LayoutError(f"looked for the split {path}, found no such file (--split-file names another)")
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read the split {path}: {error}") from None
    assigned = _assign(splits, options.split_index, str(path))
    files = [_file(entry, assigned) for entry in root.images(folder)]
    present = {PurePosixPath(file.relative_path).name for file in files}
    for name in sorted(set(assigned) - present):
        files.append(faulty(root.entry(f"{folder}/{name}"), assigned[name][0], Fault("missing_file", "")))
    return finish(files)


def _images(root: SourceRoot, variant: str | None) -> tuple[str, str]:
    if variant is not None and variant not in VARIANTS:
        raise UserError(f"--variant {variant}: CUHK03 has {' and '.join(VARIANTS)}")
    for name in [variant] if variant else VARIANTS:
        if root.has_folder(f"images_{name}"):
            return f"images_{name}", name
    looked_for = f"images_{variant}/" if variant else "images_detected/ or images_labeled/"
    raise LayoutError(f"looked for {looked_for}, found {root.shown()}")


def _assign(splits: Any, index: int, path: str) -> dict[str, tuple[Split, int]]:
    """File name -> (split, view from 0) of one split of the file."""
    if not isinstance(splits, list) or not all(isinstance(split, dict) for split in splits):
        raise UserError(f"the split file {path} must hold a list of objects with train, query and gallery")
    if not 0 <= index < len(splits):
        raise UserError(f"--split-index {index}: the split file {path} holds {len(splits)}, counted from 0")
    assigned: dict[str, tuple[Split, int]] = {}
    for name in SPLITS:
        listed = splits[index].get(name, [])
        if not isinstance(listed, list):
            raise UserError(f"the split file {path}: {name} is {listed!r}, not a list of [path, identity, view]")
        for item in listed:
            try:
                image, _, view = item
                key = PurePosixPath(str(image).replace("\\", "/")).name
                entry = (name, int(view))
            except (TypeError, ValueError, OverflowError):
                raise UserError(f"the split file {path}: {item!r} is not [path, identity, view]") from None
            if key in assigned:
                both = f"in {assigned[key][0]} and in {name}"
                raise UserError(f"the split file {path} has {key} {both}: only splits without overlap can be used")
            assigned[key] = entry
    return assigned


def _file(entry: Entry, assigned: dict[str, tuple[Split, int]]) -> SourceFile:
    listed = assigned.get(PurePosixPath(entry.relative_path).name)
    if listed is None:
        return faulty(entry, "train", Fault("not_listed", "the split does not name it"))
    split, view_from_0 = listed
    match = _NAME.fullmatch(entry.stem)
    if match is None:
        return faulty(entry, split, Fault("unparsable_name", "not a name like 1_001_1_01.png"))
    pair, person, view, picture = match.groups()
    if int(view) != view_from_0 + 1:
        message = f"the split says view {view_from_0 + 1}, the name {view}"
        return faulty(entry, split, Fault("label_mismatch", message))
    identity = f"{pair}-{int(person):03d}"
    numbers = int(view), int(pair), int(picture)
    return SourceFile(entry.relative_path, entry.size, split, "person", identity, *numbers, entry.fault)


LAYOUT = Layout(
    name="cuhk03",
    scan=scan,
    recognises=lambda root: any(root.has_folder(f"images_{name}") for name in VARIANTS),
    options=("variant", "split_file", "split_index"),
)
