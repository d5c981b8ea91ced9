"""File names and label tables of every layout: nothing outside of the folder, numbers in range, one line at most."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import polars as pl
from hypothesis import strategies as st

from pipeline.sources import cuhk03_np, dukemtmc, market1501
from pipeline.sources.files import Fault, SourceFile
from pipeline.sources.known_layouts import LAYOUTS, scan
from pipeline.sources.layout_base import ScanOptions
from tests.fuzz.mutations import mutated_bytes, mutated_json
from tests.fuzz.target import REFUSALS, Reader, Target, check_line

_PATTERNS = (
    r"-?\d{1,12}_c\d{1,6}s\d{1,8}_\d{1,14}_\d{1,11}",
    r"\d{1,12}_c\d{1,6}_f\d{1,14}",
    r"\d{1,12}_c\d{1,6}_\d{1,11}",
    r"\d{4}_\d{3}_\d{1,5}(_\d{4}(morning|noon|afternoon)_\d{1,10}_\d)?",
    r"[0-9]_\d{1,5}_[0-9]_\d{1,5}",
    r"person_\d{3,5}",
    r"\d{1,10}",
)
_STEMS = st.one_of(*(st.from_regex(pattern, fullmatch=True) for pattern in _PATTERNS), st.text(max_size=40))
_SUFFIXES = st.sampled_from((".jpg", ".JPG", ".png", ".jpg.jpg", ".txt", "", ".Jpeg", "."))
_FOLDERS = {
    "market1501": ("bounding_box_train", "query", "bounding_box_test"),
    "dukemtmc": ("bounding_box_train", "query"),
    "cuhk03_np": ("bounding_box_train", "bounding_box_default"),
    "toyworld": ("bounding_box_train", "query", "ground_truth"),
    "msmt17": ("train/0000", "test/0000"),
    "cuhk03": ("images_detected",),
    "prid2011": ("single_shot/cam_a", "single_shot/cam_b", "multi_shot/cam_a/person_0001", "multi_shot/cam_b"),
    "folder": ("", "a"),
}
_MSMT = b"0000/0000_000_01_0303morning_0008_0.jpg 0\n../../outside.jpg 1\n/etc/passwd 2\n"
_CUHK = [
    {
        "train": [["x/1_001_1_01.png", 0, 0]],
        "query": [["../5_002_1_01.png", 1, 0]],
        "gallery": [["5_002_2_10.png", 1, 1]],
    }
]
_PRID = [{"train": ["person_0001", 2], "test": [3]}]
_TABLE = b"path,identity,camera,split,sequence,frame,role\na/1.jpg,7,1,train,1,2,person\n../1.jpg,8,2.0,query,,,junk\n"


def _export_labels() -> bytes:
    """The table of an export of one generated image."""
    row = {"file": "bounding_box_train/0001_c1s1_1_1.jpg", "sample_id": "ab" * 16, "number": 1, "identity": "anna"}
    row |= {"camera": 1, "split": "train", "sources": [{"sha256": "ab", "role": "content", "dataset_id": "market"}]}
    stream = io.BytesIO()
    pl.DataFrame([row]).write_parquet(stream)
    return stream.getvalue()


class Case(NamedTuple):
    """A folder to be made: files by path, and how it is read."""

    layout: str
    files: dict[str, bytes]
    options: ScanOptions


def set_up() -> Reader:
    """Small folders of every layout."""
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    return Reader(st.sampled_from(sorted(_FOLDERS)).flatmap(folders), lambda case: read(place, case))


def set_up_names() -> Reader:
    """The parsers of names alone."""
    return Reader(_STEMS | st.text(), parse)


def parse(stem: str) -> None:
    """Read a name as those layouts do that say all in it."""
    for parser in (market1501.parse, dukemtmc.parse, cuhk03_np.parse):
        found = parser(stem)
        if not isinstance(found, Fault):
            assert (found.role == "person") == (found.identity is not None)
            _in_range(found.camera, found.sequence, found.frame)


@st.composite
def folders(draw: st.DrawFn, layout: str) -> Case:
    """Files with names of the layout's kind, and the lists that it reads."""
    files: dict[str, bytes] = {}
    for folder in _FOLDERS[layout]:
        for stem in draw(st.lists(_STEMS, max_size=3)):
            files[f"{folder}/{stem}{draw(_SUFFIXES)}".lstrip("/")] = b""
    options = ScanOptions()
    if layout == "msmt17":
        files |= {f"list_{name}.txt": draw(mutated_bytes(_MSMT, b"")) for name in ("train", "val", "query", "gallery")}
    elif layout == "cuhk03":
        files["splits_new_detected.json"] = draw(mutated_json(_CUHK))
    elif layout == "prid2011":
        files["split.json"] = draw(mutated_json(_PRID))
        options = ScanOptions(variant=draw(st.sampled_from((None, "multi_shot"))), split_file=Path("split.json"))
    elif layout == "market1501" and draw(st.booleans()):
        files["labels.parquet"] = draw(mutated_bytes(_export_labels()))
    elif layout == "folder":
        files["labels.csv"] = draw(mutated_bytes(_TABLE))
        options = ScanOptions(labels=Path("labels.csv"))
    return Case(layout, files, options)


def read(place: Path, case: Case) -> None:
    """Make the folder and read it."""
    root = place / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    (place / "outside.jpg").touch()
    for path, data in case.files.items():
        _write(root, path, data)
    beside = {name: root / path for name in ("labels", "split_file") if (path := getattr(case.options, name))}
    options = ScanOptions(case.options.variant, beside.get("split_file"), 0, beside.get("labels"))
    try:
        found = scan(LAYOUTS[case.layout], root, options)
    except REFUSALS as error:
        check_line(error)
        return
    for file in found:
        _check(root, file)


def _write(root: Path, path: str, data: bytes) -> None:
    """What the file system takes of the names."""
    target = Path(os.path.normpath(root / path.replace("\0", "").strip("/"))) if path.isprintable() else None
    if target is None or not target.is_relative_to(root):
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    except (OSError, UnicodeEncodeError):
        return


def _check(root: Path, file: SourceFile) -> None:
    _in_range(file.camera, file.sequence, file.frame)
    if file.fault is None or file.fault.readable:
        assert (root / file.relative_path).resolve().is_relative_to(root.resolve()), "outside of the folder"
    file.relative_path.encode()


def _in_range(camera: int | None, sequence: int | None, frame: int | None) -> None:
    assert 0 <= (camera or 0) < 2**31
    assert 0 <= (sequence or 0) < 2**31
    assert 0 <= (frame or 0) < 2**63


TARGETS = {"file names": Target(0.5, set_up_names), "folders and label tables": Target(1.5, set_up)}
