"""Market-1501: three folders with names like ``0002_c1s1_000451_03.jpg``.

``bounding_box_train`` is the train split, ``query`` the query, ``bounding_box_test`` the gallery.
Identity, camera, sequence, frame, number of the box in the frame. Identity -1 is junk (a detection that
overlaps a person too little to count for or against a match), 0000 a distractor (a false detection). A
person's name is the number in four digits, as here: some tools write ``2_c1s1_000451_03.jpg``. Only
``bounding_box_train`` must be there. Other sets that use these names may have any number of cameras.

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

FOLDERS: dict[str, Split] = {
    "bounding_box_train": "train",
    "query": "query",
    "bounding_box_test": "gallery",
}
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
    """Files of a Market-1501 folder."""
    return scan_folders(root, parse, "0002_c1s1_000451_03.jpg")


def scan_folders(root: SourceRoot, parser: Parser, example: str) -> list[SourceFile]:
    """Files of the three folders, each name read by ``parser``.

    Raises:
        LayoutError: there is no ``bounding_box_train``, no image, or no name that can be read.
    """
    if not root.has_folder("bounding_box_train"):
        raise LayoutError(f"looked for the folders {', '.join(FOLDERS)}, found {root.shown()}")
    files, written = [], defaultdict[str, set[str]](set)
    for folder, split in FOLDERS.items():
        for entry in root.images(folder) if root.has_folder(folder) else ():
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


def reads_names(root: SourceRoot, parser: Parser) -> bool:
    """Whether one of the first names in ``bounding_box_train`` can be read."""
    if not root.has_folder("bounding_box_train"):
        return False
    first = islice(root.images("bounding_box_train"), 20)
    return any(not isinstance(parser(entry.stem), Fault) for entry in first)


LAYOUT = Layout(
    name="market1501",
    scan=scan,
    recognises=lambda root: reads_names(root, parse),
)
