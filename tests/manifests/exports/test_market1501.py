"""Market-1501 folders, read back by the pipeline's own reader of that layout and by its other readers."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image

from manifests.errors import UserError
from manifests.exports.market1501 import export_market1501
from manifests.exports.market1501_names import number_identities
from manifests.format.soft_labels import ClassMap, expand
from manifests.reading.dataset import open_dataset
from manifests.writing.merge import merge
from manifests.writing.run import Dataset
from pipeline.sources.files import SourceFile
from pipeline.sources.ingest import ingest, make_plan
from pipeline.sources.known_layouts import get_layout, scan
from pipeline.sources.layout_base import ScanOptions
from pipeline.sources.reading import Provenance
from tests.manifests.exports.export_rows import Change, nobody, source_dataset, synthetic_dataset, with_image
from tests.manifests.exports.test_marking import EXTENSION, SOURCE_TYPE, properties
from tests.manifests.manifest_rows import CLASSES, name


def read_back(folder: Path) -> dict[str, SourceFile]:
    """What the Market-1501 reader finds, by path."""
    found = scan(get_layout("market1501"), folder, ScanOptions())
    assert [file for file in found if file.fault] == []
    return {file.relative_path: file for file in found}


def labels(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "labels.parquet")


def numbered(number: int, row: dict[str, Any]) -> None:
    """Names as Market-1501 has them, where 0000 is nobody's."""
    if row["role"] == "person":
        row["identity"] = f"{number + 1:04d}"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "market"


def test_synthetic_rows_are_read_back(uri: str, output: Path) -> None:
    dataset = synthetic_dataset(uri)
    exported = export_market1501(dataset, str(output))
    assert (exported.images, exported.notes) == (12, ())
    found = read_back(output)
    rows = {row["sample_id"]: row for row in dataset.read().to_pylist()}
    table = labels(output)
    assert set(table["file"]) == found.keys()
    assert len(found) == 12
    for file, sample_id in table.select("file", "sample_id").iter_rows():
        row, back = rows[sample_id], found[file]
        assert (back.identity, back.camera, back.split, back.role) == (
            row["identity"],
            row["camera"],
            "train",
            "person",
        )
        data = (output / file).read_bytes()
        assert properties(data)[f"{EXTENSION}DigitalSourceType"] == SOURCE_TYPE
        with Image.open(io.BytesIO(data)) as ours, Image.open(io.BytesIO(row["image"]["bytes"])) as theirs:
            assert np.array_equal(np.array(ours), np.array(theirs))


def test_brought_rows_are_read_back_with_distractors_junk_and_frames(uri: str, output: Path) -> None:
    dataset = source_dataset(uri, numbered)
    export_market1501(dataset, str(output))
    found = read_back(output)
    rows = {row["image_id"]: row for row in dataset.read().to_pylist()}
    for file, image_id in labels(output).select("file", "image_id").iter_rows():
        row, back = rows[image_id], found[file]
        for column in ("role", "identity", "camera", "sequence", "frame", "split"):
            assert getattr(back, column) == row[column], column
        assert (output / file).read_bytes() == row["image"]["bytes"]
    names = Counter(Path(file).name.split("_")[0] for file in found)
    assert (names["0000"], names["-1"]) == (2, 2)


def test_an_ingested_export_is_the_data_set_again(uri: str, output: Path, tmp_path: Path) -> None:
    first = source_dataset(uri, numbered)
    export_market1501(first, str(output))
    provenance = Provenance("again", "again", None, None)
    plan = make_plan(output, get_layout("market1501"), provenance)
    second = ingest(output, plan, provenance, str(tmp_path / "again"))
    columns = ["image_sha256", "identity", "camera", "sequence", "frame", "split", "role"]
    assert contents(first, columns) == contents(second, columns)


def contents(dataset: Dataset, columns: list[str]) -> list[dict[str, Any]]:
    return sorted(dataset.read(columns).to_pylist(), key=lambda row: row["image_sha256"])


def test_soft_labels_lie_beside_the_images(uri: str, output: Path) -> None:
    dataset = synthetic_dataset(uri, lambda number, row: nobody(row) if number % 3 == 0 else None)
    export_market1501(dataset, str(output))
    table = pq.read_table(output / "labels.parquet")
    assert np.array_equal(expand(table), expand(dataset.read()))
    assert ClassMap.from_json((table.schema.metadata or {})[ClassMap.FOOTER_KEY.encode()].decode()) == CLASSES
    assert table.column("subject_keys").to_pylist() == dataset.read().column("subject_keys").to_pylist()
    counted = duckdb.sql(f"SELECT number, count(*) FROM '{output}/labels.parquet' GROUP BY 1 ORDER BY 1").fetchall()
    assert dict(counted)[0] == 4


def test_images_of_nobody_are_0000_and_a_note_says_so(uri: str, output: Path) -> None:
    dataset = synthetic_dataset(uri, lambda number, row: nobody(row) if number in (0, 11) else None)
    exported = export_market1501(dataset, str(output))
    assert len(exported.notes) == 1
    assert exported.notes[0].startswith("2 training images show nobody in particular")
    back = [file for file in read_back(output).values() if file.identity is None]
    assert [(file.role, file.camera, Path(file.relative_path).name[:9]) for file in back] == [
        ("distractor", 0, "0000_c0s0")
    ] * 2


def test_identities_that_are_no_numbers_get_class_numbers(uri: str, output: Path) -> None:
    dataset = synthetic_dataset(uri, lambda number, row: row.update(identity=f"market:{row['identity']}"))
    export_market1501(dataset, str(output))
    people = pl.read_parquet(output / "identities.parquet")
    assert people.rows() == [(1, "market:0002", 0), (2, "market:0007", 1), (3, "market:0011", 2)]
    assert {file.identity for file in read_back(output).values()} == {"0001", "0002", "0003"}
    assert dict(labels(output).select("identity", "number").iter_rows()) == {name: at for at, name, _ in people.rows()}


@pytest.mark.parametrize(
    ("identities", "numbers"),
    [
        (["7", "0007", "12"], [1, 2, 3]),
        (["0", "1", "2"], [1, 2, 3]),
        (["anna", "bert", "0003"], [1, 2, 3]),
        (["1", "2", "٣"], [1, 2, 3]),
        (["1", "2", "1234567890"], [1, 2, 3]),
        (["5", "17", "123456"], [5, 17, 123456]),
    ],
)
def test_numbers_of_brought_people_are_their_own_or_their_place(
    uri: str, output: Path, identities: list[str], numbers: list[int]
) -> None:
    dataset = source_dataset(uri, lambda number, row: row.update(identity=identities[number % 3], role="person"))
    people = number_identities(dataset)
    assert people["number"].to_list() == numbers
    assert people["class"].to_list() == [None] * 3
    export_market1501(dataset, str(output))
    assert {int(file.identity or 0) for file in read_back(output).values()} == set(numbers)


def test_a_selection_gives_nobody_another_number(uri: str, output: Path) -> None:
    dataset = synthetic_dataset(uri, lambda number, row: row.update(identity=f"market:{row['identity']}"))
    exported = export_market1501(dataset, str(output), "identity = 'market:0011' AND camera = 1")
    found = read_back(output).values()
    assert exported.images == len(found) > 0
    assert {(file.identity, file.camera) for file in found} == {("0003", 1)}


def test_images_of_one_frame_are_counted(uri: str, output: Path) -> None:
    same = {"identity": "0004", "role": "person", "split": "query", "camera": 3, "sequence": 2, "frame": 77}
    export_market1501(source_dataset(uri, lambda number, row: row.update(same), rows=3), str(output))
    names = sorted(path.name for path in (output / "query").iterdir())
    assert names == [f"0004_c3s2_000077_0{box}.jpg" for box in (1, 2, 3)]


def test_other_formats_keep_their_names_and_a_note_says_so(uri: str, output: Path) -> None:
    dataset = synthetic_dataset(uri, lambda number, row: with_image(row, number, "PNG") if number < 5 else None)
    exported = export_market1501(dataset, str(output))
    assert exported.notes == ("5 images are no JPEG files: readers that look for *.jpg alone will not see them",)
    assert Counter(Path(file).suffix for file in read_back(output)) == {".png": 5, ".jpg": 7}


def test_two_data_sets_have_no_name_in_common_and_one_picture_has_one_name(uri: str, tmp_path: Path) -> None:
    first, second = synthetic_dataset(f"{uri}-1"), synthetic_dataset(f"{uri}-2", another_run)
    merge([first.uri, second.uri], f"{uri}-3")
    names = []
    for number, dataset in enumerate((first, second, open_dataset(f"{uri}-3"))):
        export_market1501(dataset, str(tmp_path / f"market-{number}"))
        names.append(set(labels(tmp_path / f"market-{number}").select("file", "sample_id").iter_rows()))
    assert {file for file, _ in names[0]}.isdisjoint({file for file, _ in names[1]})
    assert names[2] == names[0] | names[1]


def another_run(number: int, row: dict[str, Any]) -> None:
    """The same people by the same cameras in other pictures."""
    row["sample_id"] = name(f"another run {number}")
    with_image(row, 1000 + number, "JPEG")


def test_files_keep_their_names_and_others_are_counted_from_there(uri: str, output: Path) -> None:
    brought = [
        "query/0004_c3s2_000077_00.jpg",
        "query/0004_c3s2_000077_07.jpg",
        "query/4_c3s2_77_01.jpg",
        "query/0004_c1s2_000077_03.jpg",
        "a/0004_c3s2_000077_05.jpg",
        "b/0004_c3s2_000077_05.jpg",
    ]
    same = {"identity": "0004", "role": "person", "split": "query", "camera": 3, "sequence": 2, "frame": 77}
    change = lambda number, row: row.update(same, relative_path=brought[number])  # noqa: E731
    export_market1501(source_dataset(uri, change, rows=6), str(output))
    table = labels(output)
    assert table["relative_path"].to_list() == brought
    boxes = ["00", "07", "08", "09", "10", "11"]
    assert table["file"].to_list() == [f"query/0004_c3s2_000077_{box}.jpg" for box in boxes]


def test_people_beyond_9999_leave_the_others_their_four_digits(uri: str, output: Path) -> None:
    identities = ["0002", "12345"]
    change = lambda number, row: row.update(identity=identities[number % 2], role="person")  # noqa: E731
    exported = export_market1501(source_dataset(uri, change), str(output))
    assert {Path(file).name.split("_")[0] for file in labels(output)["file"]} == {"0002", "12345"}
    assert [note.partition(":")[0] for note in exported.notes] == ["person 12345"]


def seen_by(cameras: Sequence[int]) -> Change:
    """Rows of these cameras in turn."""

    def change(number: int, row: dict[str, Any]) -> None:
        numbered(number, row)
        row["camera"] = cameras[number % len(cameras)]

    return change


def test_cameras_of_two_digits_are_told_and_renumbered(uri: str, output: Path) -> None:
    cameras = [1, 10, 12]
    dataset = source_dataset(uri, seen_by(cameras))
    (note,) = export_market1501(dataset, str(output)).notes
    assert note.startswith("camera 10 is read as camera 1 by torchreid's and fast-reid's own readers")
    assert note.endswith("; --renumber-cameras calls the cameras 1 to 3")
    assert not (output / "cameras.parquet").exists()
    again = output.with_name("again")
    assert export_market1501(dataset, str(again), "camera > 1", renumber_cameras=True).notes == ()
    assert pl.read_parquet(again / "cameras.parquet").rows() == [(1, 1), (2, 10), (3, 12)]
    told = {(Path(file).name.partition("_c")[2][0], camera) for file, camera in labels(again)["file", "camera"].rows()}
    assert told == {("2", 10), ("3", 12)}


@pytest.mark.parametrize(
    ("cameras", "said"),
    [
        ([0, 1], "camera 0 is called c0, as one that is not known; --renumber-cameras calls the cameras 1 to 2"),
        (
            [1, 7],
            "camera 7: torchreid's and fast-reid's own readers of Market-1501 stop at cameras above 6; --renumber",
        ),
        (range(1, 9), "stop at cameras above 6; `manifests.exports.torchreid.register` reads all"),
        (range(4, 12), "camera 10 is read as camera 1 by"),
    ],
)
def test_other_cameras_that_readers_do_not_take(uri: str, output: Path, cameras: Sequence[int], said: str) -> None:
    (note,) = export_market1501(source_dataset(uri, seen_by(cameras)), str(output)).notes
    assert said in note


def test_a_camera_that_is_not_known_is_null_beside_the_files(uri: str, output: Path) -> None:
    dataset = source_dataset(uri, lambda number, row: row.update(camera=None if number else 3, sequence=None))
    export_market1501(dataset, str(output))
    named = labels(output).sort("camera", nulls_last=True)
    assert named["camera"].to_list() == [3] + [None] * 7
    assert named["file"].str.extract("_(c[0-9]+s[0-9]+)_").to_list() == ["c3s0"] + ["c0s0"] * 7
    assert named["sequence"].null_count() == 8


def test_the_note_says_that_it_is_synthetic(uri: str, output: Path) -> None:
    export_market1501(synthetic_dataset(uri), str(output))
    note = (output / "README.md").read_text()
    assert "Every image here is synthetic" in note
    assert "made by reid-synth" in note


def test_an_object_store_exports_too(output: Path) -> None:
    dataset = synthetic_dataset("memory://market1501/dataset")
    export_market1501(open_dataset(dataset.uri), str(output))
    assert len(read_back(output)) == 12


def test_nothing_is_left_where_a_row_cannot_be_exported(uri: str, output: Path) -> None:
    dataset = synthetic_dataset(uri, lambda number, row: with_image(row, number, "BMP") if number == 9 else None)
    with pytest.raises(UserError, match="is broken: neither JPEG"):
        export_market1501(dataset, str(output))
    assert [path.name for path in output.parent.iterdir()] == [Path(uri).name]


def test_people_whose_rows_have_no_class_are_not_called_nobody(uri: str, output: Path) -> None:
    def unnumbered(number: int, row: dict[str, Any]) -> None:
        identity = f"market:{row['identity']}"
        nobody(row)
        row |= {"identity": identity, "camera": 1}

    (note,) = export_market1501(synthetic_dataset(uri, unnumbered), str(output)).notes
    assert note.startswith("3 people are numbered anew, 'market:0002' as 0001")
    assert {file.identity for file in read_back(output).values()} == {"0001", "0002", "0003"}
