"""Whose rows go: what a request names, and what comes from that."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from manifests.checking.validate import validate
from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from tests.manifests.erasing.family import CLASSES, GONE, PEOPLE, Family
from tests.manifests.manifest_rows import name
from tests.manifests.people_rows import assert_no_trace, noise_rows, people_source, people_synthetic, rejects, write


def test_an_image_goes_with_what_was_made_of_it(family: Family) -> None:
    source = family.source.read().to_pylist()
    image = source[4]
    report = erase(family.uris, Request(images=frozenset({image["image_id"]})))
    counts = {one.kind: one.rows for one in report.datasets}
    assert counts == {"source": 1, "annotation": 1, "synthetic": 3}
    for uri in family.uris:
        assert_no_trace(uri, [image["image_sha256"].encode(), image["image"]["bytes"]])
        assert validate(uri).faults == []
    assert family.again().synthetic.classes == CLASSES
    by_digest = erase(family.uris, Request(images=frozenset({source[0]["image_sha256"]})))
    assert {one.kind: one.rows for one in by_digest.datasets} == {"source": 1, "annotation": 1, "synthetic": 3}


def test_a_synthetic_image_can_go_alone(family: Family) -> None:
    row = family.synthetic.read(["sample_id", "image_sha256"]).to_pylist()[2]
    report = erase(family.uris, Request(images=frozenset({row["sample_id"]})))
    assert [one.rows for one in report.datasets] == [0, 1, 0]
    assert [one.shards for one in report.datasets] == [0, 1, 0]


def test_without_the_source_the_synthetic_rows_say_which_images_are_the_persons(family: Family) -> None:
    report = erase([family.annotations.uri, family.synthetic.uri], Request(frozenset({GONE})))
    assert {one.kind: one.rows for one in report.datasets} == {"annotation": 3, "synthetic": 9}


def test_the_same_picture_under_another_name_goes_too(tmp_path: Path) -> None:
    rows = people_source("market", PEOPLE, 1)
    column = rows.schema.get_field_index("identity")
    twin = rows.slice(1, 1).set_column(column, "identity", [["unknown-twin"]])
    twin = (
        twin.set_column(0, "image_id", [[name("twin")]])
        .set_column(rows.schema.get_field_index("relative_path"), "relative_path", [["train/twin.png"]])
        .cast(rows.schema)
    )
    source = write(str(tmp_path / "source"), "source", rows, twin)
    found = erase([source.uri], Request(frozenset({GONE})), dry_run=True).datasets[0]
    assert (found.rows, found.emptied) == (2, ("unknown-twin",))
    assert erase([source.uri], Request(frozenset({GONE}))).datasets[0] == found


def test_others_with_rows_of_their_own_are_not_named(tmp_path: Path) -> None:
    source = write(str(tmp_path / "source"), "source", people_source("market", PEOPLE, 2))
    assert erase([source.uri], Request(frozenset({GONE}))).datasets[0].emptied == ()


def test_a_row_whose_keys_leave_its_person_out_goes_too(tmp_path: Path) -> None:
    rows = people_synthetic(people_source("market", PEOPLE, 1), CLASSES)
    keys = pa.array([["somebody else's"]] * rows.num_rows, rows.schema.field("subject_keys").type)
    rows = rows.set_column(rows.schema.get_field_index("subject_keys"), "subject_keys", keys)
    made = write(str(tmp_path / "made"), "synthetic", rows, classes=CLASSES)
    assert erase([made.uri], Request(frozenset({GONE}))).datasets[0].rows == 1
    assert_no_trace(made.uri, [GONE.encode()])


def test_a_reject_that_names_nobody_stays(tmp_path: Path) -> None:
    shard = people_source("market", PEOPLE[:2], 3)
    nobodys = rejects({"item_id": name("nobody"), "relative_path": None, "message": None})
    source = write(str(tmp_path / "source"), "source", shard)
    synthetic = write(
        str(tmp_path / "made"), "synthetic", people_synthetic(shard, CLASSES, "lsr"), classes=CLASSES, rejected=nobodys
    )
    report = erase([source.uri, synthetic.uri], Request(frozenset({GONE})))
    assert {one.kind: (one.rows, one.rejects) for one in report.datasets} == {"source": (3, 0), "synthetic": (3, 0)}


def test_people_of_one_name_are_told_apart(tmp_path: Path) -> None:
    uris = [
        write(str(tmp_path / one), "source", people_source(one, [GONE, "civet"], 2), plan=one).uri
        for one in ("market", "duke")
    ]
    with pytest.raises(
        UserError, match="'badger' is the name of people of duke and market: say which with --dataset-id"
    ):
        erase(uris, Request(frozenset({GONE})))
    with pytest.raises(UserError, match=r"no rows of a data set called 'prid'.*known: duke, market"):
        erase(uris, Request(frozenset({GONE}), dataset_id="prid"))
    report = erase(uris, Request(frozenset({GONE}), dataset_id="duke"))
    assert {Path(one.uri).name: one.rows for one in report.datasets} == {"market": 0, "duke": 2}


def test_a_class_of_somebody_else_of_that_name_stays(tmp_path: Path) -> None:
    source = write(str(tmp_path / "market"), "source", people_source("market", PEOPLE, 2))
    duke = people_source("duke", PEOPLE, 2)
    made = write(str(tmp_path / "made"), "synthetic", people_synthetic(duke, CLASSES), classes=CLASSES)
    report = erase([source.uri, made.uri], Request(frozenset({GONE}), dataset_id="market"))
    assert [(one.kind, one.rows, one.retired) for one in report.datasets] == [("synthetic", 0, ()), ("source", 2, ())]
    assert open_dataset(made.uri).classes == CLASSES


def test_a_class_without_rows_loses_its_name(tmp_path: Path) -> None:
    made = write(
        str(tmp_path / "made"),
        "synthetic",
        noise_rows(3, CLASSES),
        classes=CLASSES,
        run={"inputs": [{"id": "market"}]},
    )
    report = erase([made.uri], Request(frozenset({GONE})))
    assert (report.datasets[0].rows, report.datasets[0].retired, report.not_found) == (0, (1,), ())
    assert_no_trace(made.uri, [GONE.encode()])
    assert validate(made.uri).faults == []
