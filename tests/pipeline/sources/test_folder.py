"""Any folder of images, with labels in a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from manifests.errors import UserError
from pipeline.sources.files import SourceFile
from pipeline.sources.ingest import make_plan
from pipeline.sources.known_layouts import get_layout, scan, scan_and_remark
from pipeline.sources.layout_base import ScanOptions
from pipeline.sources.reading import Provenance

Put = Callable[..., Path]
NAMELESS = Provenance("set", "set", None, None)


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
        ("a.jpg,-2,1,train,person", "bad_label"),
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


def labelled(put: Put, root: Path, text: str) -> dict[str, SourceFile]:
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        put(name)
    return {file.relative_path: file for file in read(root, put("../labels.csv", text))}


def test_a_person_is_one_however_the_table_writes_the_number(put: Put, root: Path) -> None:
    files = labelled(put, root, "path,identity,camera\na.jpg,1,1\nb.jpg,1.0,2.0\nc.jpg,0001,3\nd.jpg,12,nan\n")
    assert [file.identity for file in files.values()] == ["0001", "0001", "0001", "12"]
    assert [file.camera for file in files.values()] == [1, 2, 3, None]
    (remark,) = scan_and_remark(get_layout("folder"), root, ScanOptions(labels=root.parent / "labels.csv"))[1]
    assert remark == (
        "people whose number is written in more than one way: 1; the first: 0001 and 1 are one person, 0001"
    )


def test_float_columns_are_whole_numbers_and_nan_is_nobody(put: Put, root: Path) -> None:
    put("a.jpg")
    put("b.jpg")
    columns = {"path": ["a.jpg", "b.jpg"], "identity": [4.0, float("nan")], "camera": [2.0, float("nan")]}
    pl.DataFrame(columns).write_parquet(root.parent / "labels.parquet")
    files = read(root, root.parent / "labels.parquet")
    assert [(f.role, f.identity, f.camera) for f in files] == [("person", "4", 2), ("person", None, None)]


def test_minus_one_is_junk_and_zero_is_asked_about(put: Put, root: Path) -> None:
    text = "path,identity,camera,role\na.jpg,-1,1,\nb.jpg,0,1,person\nc.jpg,0000,1,distractor\nd.jpg,None,1,\n"
    files = labelled(put, root, text)
    facts = [("junk", None), ("person", "0000"), ("distractor", None), ("person", None)]
    assert [(file.role, file.identity) for file in files.values()] == facts
    with pytest.raises(UserError, match=r"identity 0 in row 2 may be a person or.*column role"):
        labelled(put, root, "path,identity,camera\na.jpg,1,1\nb.jpg,0,1\n")


def test_what_cannot_be_read_says_what_to_write(put: Put, root: Path) -> None:
    text = "path,identity,camera\na.jpg,1,C02\n.\\b.jpg,1,2\nc.jpg,1,hall\n"
    files = labelled(put, root, text)
    told = {path: file.fault.message for path, file in files.items() if file.fault}
    assert told["a.jpg"] == "camera 'C02' is no whole number from 0 to 2147483647: write 2"
    assert told[".\\b.jpg"] == "write paths below the root, with /: b.jpg"
    assert told["c.jpg"] == "camera 'hall' is no whole number from 0 to 2147483647"
    with pytest.raises(UserError, match=r"none of the 5 images.*the first: \.\\b\.jpg: write paths"):
        make_plan(root, get_layout("folder"), NAMELESS, ScanOptions(labels=root.parent / "labels.csv"))


def test_rows_that_disagree_are_both_named(put: Put, root: Path) -> None:
    files = labelled(put, root, "path,identity,camera\na.jpg,1,1\nb.jpg,1,1\n./a.jpg,2,1\nb.jpg,1.0,01\n")
    assert files["a.jpg"].fault == (
        "contradictory_labels",
        "rows 1 and 3 of the labels disagree: identity 1 and 2",
        True,
    )
    everything = read(root, root.parent / "labels.csv")
    again = [file.fault and file.fault.reason for file in everything if file.relative_path == "b.jpg"]
    assert again == [None, "duplicate_name"]


def test_a_folder_without_images(put: Put, root: Path) -> None:
    put("notes.txt")
    with pytest.raises(UserError, match="looked for images in it and below, found none"):
        read(root)
