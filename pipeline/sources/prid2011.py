"""PRID 2011: ``single_shot/`` and ``multi_shot/``, each with ``cam_a/`` and ``cam_b/``.

``single_shot/cam_a/person_0001.png``; ``multi_shot/cam_a/person_0001/0001.png``. Camera A (1 here) saw
385 persons, camera B (2) saw 749, and only the first 200 are the same in both: 0201 of A is somebody else
than 0201 of B. The others are distractors of whom it is known who they are, ``a-0201`` and ``b-0201``
here.

Without a split file the published evaluation: query is the first 200 of A, gallery everybody else. A
split file is a JSON list of ``{"train": [...], "test": [...]}`` with persons as numbers or as
``"person_0001"``: the train persons of both cameras become the train split.

Hirzer et al., "Person Re-Identification by Descriptive and Discriminative Classification", SCIA 2011.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath

from manifests.errors import UserError
from pipeline.sources.files import Entry, Fault, Role, SourceFile, SourceRoot, Split, faulty, finish
from pipeline.sources.layout_base import Layout, LayoutError, ScanOptions

VARIANTS = ("single_shot", "multi_shot")
CAMERAS = {"cam_a": 1, "cam_b": 2}
SHARED_PERSONS = 200
_PERSON = re.compile(r"person_(\d{4})", re.ASCII)


def scan(root: SourceRoot, options: ScanOptions) -> list[SourceFile]:
    """Files of one variant (``single_shot`` where both are there) of a PRID 2011 folder.

    Raises:
        LayoutError: the camera folders are missing.
        UserError: an unknown variant, a split file that cannot be used.
    """
    variant = _variant(root, options.variant)
    train = _train_persons(options.split_file, options.split_index) if options.split_file else set()
    files = []
    for camera in CAMERAS:
        folder = f"{variant}/{camera}"
        if not root.has_folder(folder):
            raise LayoutError(f"looked for {variant}/cam_a/ and {variant}/cam_b/, found no {camera}/")
        for entry in root.images(folder, recursive=variant == "multi_shot"):
            files.append(_file(entry, camera, train, single=variant == "single_shot"))
    if not files:
        raise LayoutError(f"looked for images in {variant}/cam_a/ and {variant}/cam_b/, found none")
    return finish(files)


def _variant(root: SourceRoot, variant: str | None) -> str:
    if variant is not None and variant not in VARIANTS:
        raise UserError(f"--variant {variant}: PRID 2011 has {' and '.join(VARIANTS)}")
    for name in [variant] if variant else VARIANTS:
        if root.has_folder(name):
            return name
    looked_for = f"{variant}/" if variant else "single_shot/ or multi_shot/"
    raise LayoutError(f"looked for {looked_for}, found {root.shown()}")


def _train_persons(path: Path, index: int) -> set[int]:
    try:
        splits = json.loads(path.read_text(encoding="utf-8"))
        if not 0 <= index < len(splits):
            raise UserError(f"--split-index {index}: the split file {path} holds {len(splits)}, counted from 0")
        return {int(str(person).removeprefix("person_")) for person in splits[index]["train"]}
    except OSError as error:
        raise UserError(f"cannot read the split file {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(f"the split file {path} must hold a list of objects with train and test") from None


def _file(entry: Entry, camera: str, train: set[int], single: bool) -> SourceFile:
    path = PurePosixPath(entry.relative_path)
    match = _PERSON.fullmatch(entry.stem if single else path.parent.name)
    if match is None or not (single or re.fullmatch(r"[0-9]{1,9}", entry.stem)):
        example = "person_0001.png" if single else "person_0001/0001.png"
        return faulty(entry, "gallery", Fault("unparsable_name", f"not a name like {example}"))
    person = int(match[1])
    shared = 1 <= person <= SHARED_PERSONS
    split: Split = "query" if shared and camera == "cam_a" else "gallery"
    if shared and person in train:
        split = "train"
    identity = match[1] if shared else f"{camera.removeprefix('cam_')}-{match[1]}"
    role: Role = "person" if shared else "distractor"
    frame = None if single else int(entry.stem)
    return SourceFile(entry.relative_path, entry.size, split, role, identity, CAMERAS[camera], None, frame, entry.fault)


LAYOUT = Layout(
    name="prid2011",
    scan=scan,
    recognises=lambda root: any(root.has_folder(f"{name}/cam_a") for name in VARIANTS),
    options=("variant", "split_file", "split_index"),
)
