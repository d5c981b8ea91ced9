"""Any folder of images, with labels in a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from manifests.errors import UserError
from pipeline.sources.files import SourceFile
from pipeline.sources.known_layouts import get_layout, scan
from pipeline.sources.layout_base import ScanOptions

Put = Callable[..., Path]


def read(root: Path, labels: Path | None = None) -> list[SourceFile]:
    return scan(get_layout("folder"), root, ScanOptions(labels=labels))


def test_without_labels_every_image_is_an_unlabelled_training_image(put: Put, root: Path) -> None:
    for name in ("b/two.jpg", "a/one.PNG", "a/Thumbs.db", "three.webp"):
        put(name)
    files = read(root)
    assert [file.relative_path for file in files] == ["a/one.PNG", "b/two.jpg", "three.webp"]
    assert {(f.split, f.role, f.identity, f.camera) for f in files} == {("train", "person", None, None)}


def test_labels_as_csv(put: Put, root: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg", "unlabelled.jpg"):
        put(name)
    labels = put(
        "labels.csv",
        "path,identity,camera,split,sequence,frame,role,remark\n"
        "c.jpg,007,12,gallery,2,99,person,x\n"
        "a.jpg,,3,,,,distractor,\n"
        "./b.jpg, anna ,1.0,query,,,,\n",
    )
    files = read(root, labels)
    assert files == [
        SourceFile("a.jpg", files[0].size, "train", "distractor", None, 3),
        SourceFile("b.jpg", files[1].size, "query", "person", "anna", 1),
        SourceFile("c.jpg", files[2].size, "gallery", "person", "007", 12, 2, 99),
        files[3],
    ]
    assert files[3].relative_path == "unlabelled.jpg"
    assert files[3].fault is not None
    assert files[3].fault.reason == "not_listed"


def test_labels_as_parquet_say_the_same(put: Put, root: Path) -> None:
    put("a.jpg")
    put("b.jpg")
    columns = {"path": ["a.jpg", "b.jpg"], "identity": [4, None], "camera": [2, None], "frame": [10**6, None]}
    pl.DataFrame(columns).write_parquet(root.parent / "labels.parquet")
    files = read(root, root.parent / "labels.parquet")
    assert [(f.identity, f.camera, f.frame) for f in files] == [("4", 2, 10**6), (None, None, None)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.jpg,1,two,train,person", "bad_label"),
        ("a.jpg,1,1.5,train,person", "bad_label"),
        ("a.jpg,1,-1,train,person", "bad_label"),
        ("a.jpg,1,1e300,train,person", "bad_label"),
        ("a.jpg,1,nan,train,person", "bad_label"),
        ("a.jpg,1,inf,train,person", "bad_label"),
        ("a.jpg,1,1,validation,person", "bad_label"),
        ("a.jpg,1,1,train,dog", "bad_label"),
        ("missing.jpg,1,1,train,person", "missing_file"),
        ("../out.jpg,1,1,train,person", "bad_path"),
        # A wrong label does not open what may not be opened.
        ("../out.jpg,1,two,train,person", "bad_path"),
        ("../out.jpg,1,1,validation,person", "bad_path"),
        ("../out.jpg,1,1,train,dog", "bad_path"),
        ("good.jpg,1,1,train,person", "duplicate_name"),
    ],
)
def test_a_bad_row_is_a_reject_and_the_others_stay(put: Put, root: Path, row: str, reason: str) -> None:
    put("good.jpg")
    put("a.jpg")
    put("../out.jpg")
    labels = put("labels.csv", f"path,identity,camera,split,role\ngood.jpg,1,1,train,person\n{row}\n")
    files = read(root, labels)
    listed = [file for file in files if not (file.fault and file.fault.reason == "not_listed")]
    assert sorted(file.fault.reason if file.fault else "" for file in listed) == ["", reason]


def test_tables_that_cannot_be_used_are_one_line(put: Put, root: Path) -> None:
    put("a.jpg")
    cases = {
        "identity.csv": ("path,camera\na.jpg,1\n", "no column 'identity'; there are path, camera"),
        "labels.txt": ("path", "a .csv or .parquet file is needed"),
        "torn.parquet": ("PAR1", "cannot read the labels"),
        "empty.csv": ("", "cannot read the labels"),
        "pathless.csv": ("path,identity,camera\n,1,1\n", "a row without a path"),
    }
    for name, (text, expected) in cases.items():
        with pytest.raises(UserError) as caught:
            read(root, put(f"../{name}", text))
        assert expected in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="cannot read the labels"):
        read(root, root / "absent.csv")


def test_a_folder_without_images(put: Put, root: Path) -> None:
    put("notes.txt")
    with pytest.raises(UserError, match="looked for images in it and below, found none"):
        read(root)
