"""Market-1501: three folders with names like ``0002_c1s1_000451_03.jpg``.

``bounding_box_train`` is the train split, ``query`` the query, ``bounding_box_test`` the gallery.
Identity, camera, sequence, frame, number of the box in the frame. Identity -1 is junk (a detection that
overlaps a person too little to count for or against a match), 0000 a distractor (a false detection). A
person's name is the number in four digits, as here: some tools write ``2_c1s1_000451_03.jpg``. Only a
training folder must be there. Other sets that use these names may have any number of cameras.

Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from pipeline.sources.files import Fault, Role, SourceFile, SourceRoot, Split, faulty, finish, written_otherwise
from pipeline.sources.layout_base import Layout, LayoutError, ScanOptions
from pipeline.sources.own_export import as_it_was, read_labels

FOLDERS: dict[str, Split] = {
    "bounding_box_train": "train",
    "query": "query",
    "bounding_box_test": "gallery",
}
_PREFIX = "bounding_box_"
_NAME = re.compile(r"(-1|\d{1,9})_c(\d{1,4})s(\d{1,6})_(\d{1,12})_(\d{1,9})", re.ASCII)


class Parsed(NamedTuple):
    """What a file name says, in the order of `SourceFile`."""

    role: Role
    identity: str | None
    camera: int
    sequence: int | None
    frame: int | None


Parser = Callable[[str], Parsed | Fault]


def parse(stem: str) -> Parsed | Fault:
    """Read a Market-1501 name without its suffix."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return Fault("unparsable_name", "not a name like 0002_c1s1_000451_03.jpg")
    identity, camera, sequence, frame, _ = match.groups()
    role: Role = "junk" if identity == "-1" else "distractor" if int(identity) == 0 else "person"
    known = person_name(identity) if role == "person" else None
    return Parsed(role, known, int(camera), int(sequence), int(frame))


def person_name(number: str) -> str:
    """A person's one name: ``1`` and ``0001`` are the same person, called ``0001``."""
    return f"{int(number):04d}"


def scan(root: SourceRoot, options: ScanOptions) -> list[SourceFile]:
    """Files of a Market-1501 folder; where it is an export of ours, as they were before.

    Raises:
        LayoutError: `scan_folders`' reasons.
        UserError: the table of the export cannot be read.
    """
    files = scan_folders(root, parse, "0002_c1s1_000451_03.jpg")
    labels = read_labels(root)
    return [as_it_was(file, labels.get(file.relative_path)) for file in files]


def scan_folders(root: SourceRoot, parser: Parser, example: str) -> list[SourceFile]:
    """Files of the three folders, each name read by ``parser``.

    Raises:
        LayoutError: there is no folder of training images, no image, or no name that can be read.
    """
    folders = folders_of(root)
    if "train" not in folders.values():
        raise LayoutError(f"looked for the folders {', '.join(FOLDERS)}, found {root.shown()}")
    files, written = [], defaultdict[str, set[str]](set)
    for folder, split in folders.items():
        for entry in root.images(folder, recursive=True):
            parsed = entry.fault or parser(entry.stem)
            if isinstance(parsed, Fault):
                files.append(faulty(entry, split, parsed))
            else:
                files.append(SourceFile(entry.relative_path, entry.size, split, *parsed))
                if parsed.identity is not None:
                    written[parsed.identity].add(entry.stem.partition("_")[0])
    if not files:
        raise LayoutError(f"looked for images in {', '.join(FOLDERS)}, found none")
    if all(file.fault and file.fault.reason == "unparsable_name" for file in files):
        first = files[0].relative_path
        raise LayoutError(f"looked for names like {example}, found none in {len(files)} (first: {first})")
    root.remarks += written_otherwise(written)
    return finish(files)


def folders_of(root: SourceRoot) -> dict[str, Split]:
    """The folders of images and what split each is, those of the published set first.

    CVAT and Datumaro make a folder for each of their subsets: ``bounding_box_Train``, ``bounding_box_default``. Test is
    the gallery, whatever else there is the training part.
    """
    folders = {folder: split for folder, split in FOLDERS.items() if root.has_folder(folder)}
    for name in root.folders():
        if name.startswith(_PREFIX):
            folders.setdefault(name, "gallery" if name.removeprefix(_PREFIX).lower() == "test" else "train")
    return folders


def reads_names(root: SourceRoot, parser: Parser) -> bool:
    """Whether one of the first names in a training folder can be read."""
    folders = (folder for folder, split in folders_of(root).items() if split == "train")
    first = (entry for folder in folders for entry in islice(root.images(folder, recursive=True), 20))
    return any(not isinstance(parser(entry.stem), Fault) for entry in first)


LAYOUT = Layout(
    name="market1501",
    scan=scan,
    recognises=lambda root: reads_names(root, parse),
)
