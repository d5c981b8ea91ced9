"""MSMT17: a folder for each identity and list files; 15 cameras.

``train/`` and ``test/`` (V1) or ``mask_train_v2/`` and ``mask_test_v2/`` (V2, faces masked) hold
``0000/0000_000_01_0303morning_0008_0.jpg``: identity, number of the picture, camera, month and day, part
of the day, and two numbers that the authors do not explain, of which the first is taken for the frame.
The lists ``list_train.txt``, ``list_val.txt`` (both training), ``list_query.txt`` and
``list_gallery.txt`` hold ``path identity`` lines. Training and test identities are numbered from 0
*each*, so that 0000 of one is not 0000 of the other: here they are ``train-0000`` and ``test-0000``. The
sequence is month, day and part of the day (morning 1, noon 2, afternoon 3) as one number: 0303morning is
3031.

Benchmarks of unsupervised ReID lay it out in Market-1501's three folders without lists, the files called as above or
``0000_c1_0000.jpg`` (identity, camera, number of the picture): that is read, too.

Wei et al., "Person Transfer GAN to Bridge Domain Gap for Person Re-Identification", CVPR 2018.
"""

from __future__ import annotations

import re
from dataclasses import replace

from pipeline.sources import cuhk03_np, market1501
from pipeline.sources.files import Fault, SourceFile, SourceRoot, Split, faulty, finish
from pipeline.sources.layout_base import Layout, LayoutError, ScanOptions

CAMERAS = 15
VERSIONS = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}
LISTS: dict[str, Split] = {
    "list_train.txt": "train",
    "list_val.txt": "train",
    "list_query.txt": "query",
    "list_gallery.txt": "gallery",
}
_NAME = re.compile(r"(\d{1,9})_(\d+)_(\d{1,4})(?:_(\d{4})(morning|noon|afternoon)_(\d{1,9})_\d+)?(?:_.*)?", re.ASCII)
_SHORT_NAME = re.compile(r"(\d{1,9})_c(\d{1,4})_(\d{1,9})", re.ASCII)
_PARTS_OF_DAY = {"morning": 1, "noon": 2, "afternoon": 3}


def scan(root: SourceRoot, options: ScanOptions) -> list[SourceFile]:
    """Files of an MSMT17 folder: those of the lists, and as faults those that no list names.

    Raises:
        LayoutError: there is no image folder, or a list is missing or cannot be read.
    """
    if root.has_folder("bounding_box_train") and not root.has_file("list_train.txt"):
        return _in_three_folders(root)
    train, test = _folders(root)
    files = []
    for name, split in LISTS.items():
        folder = train if split == "train" else test
        if root.has_folder(folder):
            files += [_listed(root, folder, split, *line) for line in _lines(root, name)]
    if not files:
        raise LayoutError(f"looked for 'path identity' lines in {', '.join(LISTS)}, found none")
    listed = {file.relative_path for file in files}
    unlisted = Fault("not_listed", "no list file names it")
    parts: tuple[tuple[str, Split], ...] = ((train, "train"), (test, "gallery"))
    for folder, split in parts:
        for entry in root.images(folder, recursive=True) if root.has_folder(folder) else ():
            if entry.relative_path not in listed:
                files.append(faulty(entry, split, unlisted))
    return finish(files, key=lambda file: file.relative_path)


def _in_three_folders(root: SourceRoot) -> list[SourceFile]:
    files = market1501.scan_folders(root, _parse_alone, "0000_c1_0000.jpg or 0000_000_01_0303morning_0008_0.jpg")
    if market1501.reads_names(root, cuhk03_np.parse) and all((file.camera or 0) <= cuhk03_np.CAMERAS for file in files):
        raise LayoutError(f"looked for {CAMERAS} cameras, found names of {cuhk03_np.CAMERAS} at most")
    return [replace(file, identity=_person(file.split, file.identity)) if file.identity else file for file in files]


def _parse_alone(stem: str) -> market1501.Parsed | Fault:
    """Read a name that says by itself who it is, without its suffix."""
    short = _SHORT_NAME.fullmatch(stem)
    if short is None:
        person, parsed = stem.partition("_")[0], _parse(stem, None)
    else:
        person, parsed = short[1], _checked(int(short[2]), None, int(short[3]))
    return parsed if isinstance(parsed, Fault) else market1501.Parsed("person", person, *parsed)


def _person(split: Split, number: str) -> str:
    return f"{'train' if split == 'train' else 'test'}-{int(number):04d}"


def _folders(root: SourceRoot) -> tuple[str, str]:
    for train, test in VERSIONS.values():
        if root.has_folder(train):
            return train, test
    looked_for = " or ".join("/ and ".join(pair) + "/" for pair in VERSIONS.values())
    raise LayoutError(f"looked for {looked_for} with {', '.join(LISTS)}, found no training folder")


def _lines(root: SourceRoot, name: str) -> list[tuple[str, str]]:
    """(path, identity) of each line of a list file."""
    try:
        text = (root.path / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LayoutError(f"looked for {', '.join(LISTS)}, found no {name}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LayoutError(f"looked for 'path identity' lines in {name}: {error}") from None
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 2 or not re.fullmatch("[0-9]{1,9}", fields[1]):
            raise LayoutError(f"looked for 'path identity' in {name}, line {number} is {line.strip()!r}")
        lines.append((fields[0], fields[1]))
    return lines


def _listed(root: SourceRoot, folder: str, split: Split, path: str, identity: str) -> SourceFile:
    entry = root.entry(path) if path.startswith("/") else root.entry(f"{folder}/{path}")
    parsed = entry.fault or _parse(entry.stem, identity)
    if isinstance(parsed, Fault):
        return faulty(entry, split, parsed)
    return SourceFile(entry.relative_path, entry.size, split, "person", _person(split, identity), *parsed)


def _parse(stem: str, identity: str | None) -> tuple[int, int | None, int | None] | Fault:
    """Camera, sequence and frame from a name whose identity must be the listed one, where there is a list."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return Fault("unparsable_name", "not a name like 0000_000_01_0303morning_0008_0.jpg")
    person, _, camera, day, part, frame = match.groups()
    if identity is not None and int(person) != int(identity):
        return Fault("label_mismatch", f"listed as identity {identity}, named {person}")
    sequence = int(day) * 10 + _PARTS_OF_DAY[part] if day else None
    return _checked(int(camera), sequence, int(frame) if frame else None)


def _checked(camera: int, sequence: int | None, frame: int | None) -> tuple[int, int | None, int | None] | Fault:
    if not 1 <= camera <= CAMERAS:
        return Fault("bad_camera", f"camera {camera}, MSMT17 has 1 to {CAMERAS}")
    return camera, sequence, frame


def _recognises(root: SourceRoot) -> bool:
    if market1501.reads_names(root, _parse_alone) and not market1501.reads_names(root, cuhk03_np.parse):
        return True
    return root.has_file("list_train.txt") and any(root.has_folder(train) for train, _ in VERSIONS.values())


LAYOUT = Layout(
    name="msmt17",
    scan=scan,
    recognises=_recognises,
)
