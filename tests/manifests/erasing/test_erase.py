"""What an erasure leaves: no byte of the person, all others as they were, and the record that it took place."""

from __future__ import annotations

import json
import uuid
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.checking.validate import validate
from manifests.common.thumbnails import encode, open_image
from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.errors import UserError
from manifests.format.names import subject_key
from manifests.format.schema import REJECT_SCHEMA, SOURCE_SCHEMA, SYNTHETIC_SCHEMA, conform
from manifests.format.soft_labels import ClassMap, expand
from manifests.reading.dataset import open_dataset
from manifests.reading.erasure_log import erasure_key, read_log
from manifests.reading.origins import find_origins
from manifests.showing.report import report_page
from manifests.storage.whole_files import open_storage
from manifests.writing.run import DatasetRun
from tests.manifests.erasing.family import CLASSES, GONE, Family, erase_gone
from tests.manifests.manifest_rows import name, sha, source_rows
from tests.manifests.people_rows import assert_no_trace, everything, people_source, people_synthetic, write


def test_a_person_goes_from_everything_and_leaves_no_byte(family: Family) -> None:
    source = family.source.read().to_pylist()
    made = family.synthetic.read().to_pylist()
    key = subject_key("market", GONE)
    lost = [row for row in source if row["identity"] == GONE]
    pictures = [row["image"]["bytes"] for row in (*lost, *(row for row in made if key in row["subject_keys"]))]
    digests = [row["image_sha256"].encode() for row in lost]

    report = erase_gone(family)

    counts = {one.kind: (one.rows, one.rejects, one.shards) for one in report.datasets}
    # Three images; one shard of them; as content, and as content and pose of every row of another shard.
    assert counts == {"source": (3, 1, 1), "annotation": (3, 1, 1), "synthetic": (9, 1, 2)}
    for uri in family.uris:
        assert_no_trace(uri, [GONE.encode(), key.encode(), *digests, *pictures])
        assert validate(uri).faults == [], validate(uri).to_text()
    after = family.again()
    assert after.source.read().to_pylist() == [row for row in source if row["identity"] != GONE]
    assert after.synthetic.read().to_pylist() == [row for row in made if key not in row["subject_keys"]]
    assert after.annotations.snapshot.rows == 9


def test_what_loses_nothing_stays_byte_for_byte(local: Family) -> None:
    before = {uri: dict(everything(uri)) for uri in local.uris}
    report = erase_gone(local)
    for old, new, told in zip(
        (local.annotations, local.synthetic, local.source),
        (local.again().annotations, local.again().synthetic, local.again().source),
        report.datasets,
        strict=True,
    ):
        kept = [one for one in new.snapshot.files if one in old.snapshot.files]
        assert len(old.snapshot.files) - len(kept) == told.shards
        now = dict(everything(new.uri))
        assert all(now[entry.path] == before[old.uri][entry.path] for entry in kept)
        assert [path for path in now if path.startswith("data/")] == [entry.path for entry in new.snapshot.files]
        assert [entry.rows for entry in new.snapshot.files][-1] == [entry.rows for entry in old.snapshot.files][-1]


def test_the_class_keeps_its_number_without_the_name(local: Family) -> None:
    before = expand(local.synthetic.read(), len(CLASSES))
    kept = [
        subject_key("market", GONE) not in keys for keys in local.synthetic.read().column("subject_keys").to_pylist()
    ]
    report = erase_gone(local)
    after = local.again().synthetic
    assert after.classes == ClassMap(("aardvark", None, "civet", "zebra"))
    assert after.classes.unnamed == (1,)
    assert [one.retired for one in report.datasets if one.kind == "synthetic"] == [(1,)]
    assert (expand(after.read(), len(CLASSES)) == before[kept]).all()
    assert "Retired classes: 1." in (open_storage(after.uri).read("README.md") or b"").decode()


def test_conservation_and_the_log(family: Family) -> None:
    report = erase_gone(family)
    assert report.receipt is not None
    for told in report.datasets:
        dataset = open_dataset(told.uri)
        snapshot = dataset.snapshot
        assert snapshot.planned == snapshot.rows + snapshot.rejected + snapshot.erased
        (entry,) = snapshot.erasures
        assert (entry.rows, entry.rejects, entry.snapshot) == (told.rows, told.rejects, 2)
        assert entry.keys == (erasure_key(report.receipt, GONE),)
        assert read_log(dataset.storage) == snapshot.erasures
        assert dataset.run["counts"]["erased"] == told.rows + told.rejects
        assert dataset.run["status"] == "complete"
        assert snapshots(told.uri) == ["_snapshots/2.json"]
    assert family.again().source.run["run"] == {
        "inputs": [{"id": "market"}],
        "people": {"civet": 3},
        "first": "(erased)",
        "all": ["aardvark", "civet", "zebra"],
    }


def snapshots(uri: str) -> list[str]:
    return [entry.path for entry in open_storage(uri).list("_snapshots")]


def test_a_receipt_cannot_be_had_from_the_log(local: Family) -> None:
    report = erase_gone(local)
    assert report.receipt is not None
    for uri in local.uris:
        assert_no_trace(uri, [report.receipt.encode()])
    other = erase(local.uris, Request(frozenset({"civet"})))
    assert other.receipt != report.receipt
    keys = [entry.keys for entry in local.again().synthetic.snapshot.erasures]
    assert len(set(keys)) == 2


def numbered(tmp_path: Path, identities: list[str]) -> str:
    """A data set of people called by numbers; a reject of each, named as a tool that pads nothing does."""
    rejects = [
        {"item_id": name(f"reject {identity}"), "stage": "s", "reason": "corrupt", "message": "torn"}
        | {"relative_path": f"train/{identity.lstrip('0')}_c1s1_000044_00.jpg"}
        for identity in identities
    ]
    rejected = pa.Table.from_pylist(rejects, schema=REJECT_SCHEMA)
    source = people_source("market", identities, images=2)
    return write(str(tmp_path / "numbered"), "source", source, rejected=rejected).uri


@pytest.mark.parametrize("asked", ["1", "0001", "1.0", "market:01"])
def test_a_person_goes_by_number_however_it_is_written(tmp_path: Path, asked: str) -> None:
    uri = numbered(tmp_path, ["0001", "1", "0011"])
    report = erase([uri], Request(frozenset({asked})))
    assert [(one.rows, one.rejects) for one in report.datasets] == [(4, 2)]
    assert set(report.also_written) == {"0001", "1"} - {asked}
    assert report.not_found == ()
    assert set(open_dataset(uri).read(["identity"]).column("identity").to_pylist()) == {"0011"}
    (entry,) = open_dataset(uri).snapshot.erasures
    assert erasure_key(report.receipt or "", "0001") in entry.keys


def test_other_names_are_taken_as_they_are(tmp_path: Path) -> None:
    uri = numbered(tmp_path, ["a1", "a01"])
    assert [one.rows for one in erase([uri], Request(frozenset({"a1"})), dry_run=True).datasets] == [2]


def test_a_dry_run_says_the_same_and_writes_nothing(local: Family) -> None:
    before = {uri: everything(uri) for uri in local.uris}
    told = erase_gone(local, dry_run=True)
    assert {uri: everything(uri) for uri in local.uris} == before
    assert told.receipt is None
    assert erase_gone(local).datasets == told.datasets


def test_once_more_changes_nothing(erased: Family) -> None:
    before = {uri: everything(uri) for uri in erased.uris}
    again = erase_gone(erased)
    assert again.not_found == (GONE,)
    assert {uri: everything(uri) for uri in erased.uris} == before


def test_shards_that_name_everybody_are_written_anew(local: Family) -> None:
    """As version 1.0 wrote them: the whole class map in each footer."""
    from manifests.disk.shards import put_table
    from manifests.disk.snapshots import commit_path, dump, load, snapshot_path

    dataset = local.synthetic
    storage, snapshot = dataset.storage, dataset.snapshot
    value = json.loads(snapshot.to_json())
    for place, entry in enumerate(snapshot.files):
        table = dataset.read_file(entry)
        old = put_table(storage, "data", entry.shard, table, dataset.footer)
        record = load(storage, commit_path(entry.shard)) or {}
        value["files"][place] = record["data"] = vars(old)
        storage.write(commit_path(entry.shard), dump(record))
        storage.delete(entry.path) if entry.path != old.path else None
    storage.write(snapshot_path(1), dump(value))
    write_card(local.synthetic.uri)
    assert validate(dataset.uri).faults == []
    erase_gone(local)
    assert_no_trace(dataset.uri, [GONE.encode()])
    assert validate(dataset.uri).faults == []


def write_card(uri: str) -> None:
    from manifests.describing.card import write_inspection_files

    write_inspection_files(open_dataset(uri))


def test_a_report_made_again_shows_nobody_who_was_erased(local: Family) -> None:
    key = subject_key("market", GONE)
    shown = {True: set[str](), False: set[str]()}
    for row in local.synthetic.read(["image", "subject_keys"]).to_pylist():
        picture = open_image(row["image"]["bytes"])
        assert picture is not None
        shown[key in row["subject_keys"]].add(encode(picture))

    def seen() -> tuple[int, int]:
        dataset = open_dataset(local.synthetic.uri)
        page = report_page(dataset, find_origins(dataset, local.source.uri, local.annotations.uri), 100)
        return sum(one in page for one in shown[True]), sum(one in page for one in shown[False])

    assert seen() == (len(shown[True]), len(shown[False]))
    erase_gone(local)
    assert seen() == (0, len(shown[False]))


@pytest.mark.parametrize("person", ["source", "plan", "plan_id", "time", "planned", "0"])
def test_a_person_called_as_an_entry_of_the_record_can_be_erased(person: str, tmp_path: Path) -> None:
    uri = str(tmp_path / "source")
    rows = source_rows(2)
    rows = rows.set_column(rows.schema.get_field_index("identity"), "identity", pa.array([person, "another"]))
    for again in (False, True):
        run = DatasetRun.start(uri, "source", sha("plan"), {0: 2}, run={"attempt": again, "about": person})
    run.sink.commit(0, conform(rows, SOURCE_SCHEMA))
    run.close()
    before = open_dataset(uri).run
    erase([uri], Request(frozenset({person})))
    after = open_dataset(uri).run
    assert (before["run"]["about"], after["run"]["about"]) == (person, "(erased)")
    assert (after["kind"], after["plan"]) == (before["kind"], before["plan"])
    assert validate(uri).faults == []


def test_an_unfinished_run_is_refused(local: Family) -> None:
    DatasetRun.start(local.synthetic.uri, "synthetic", name("more"), {0: 3}, footer=local.synthetic.footer, append=True)
    before = {uri: everything(uri) for uri in local.uris}
    with pytest.raises(UserError, match=r"synthetic has an unfinished run \(running\): finish it first"):
        erase_gone(local)
    assert {uri: everything(uri) for uri in local.uris} == before


def test_rows_are_appended_to_what_was_erased_under_its_numbers(erased: Family) -> None:
    dataset = erased.synthetic
    classes = dataset.classes
    assert classes is not None
    rows = people_synthetic(people_source("market", ["civet", "zebra"], 4), classes, "lsr", "more")
    run = DatasetRun.start(
        dataset.uri, "synthetic", name("more"), {0: rows.num_rows}, footer=dataset.footer, append=True
    )
    run.sink.commit(0, rows)
    assert run.close().erased == dataset.snapshot.erased > 0
    assert validate(dataset.uri).faults == []
    assert open_dataset(dataset.uri).classes == classes
    assert set(rows.column("hard_label").to_pylist()) == {2, 3}


def test_thousands_of_rows(tmp_path: Path) -> None:
    people = [f"person-{number:03d}-of-100" for number in range(100)]
    classes = ClassMap.of(people)
    source = people_source("market", people, 20)
    shards = [people_synthetic(source.slice(start, 200), classes) for start in range(0, 2000, 200)]
    dataset = write(str(tmp_path / "made"), "synthetic", *shards, classes=classes)
    lost = [row["image"]["bytes"] for row in shards[4].to_pylist() if row["identity"] == people[42]]
    assert (dataset.snapshot.rows, len(lost)) == (2000, 20)
    files = {path: data for path, data in everything(dataset.uri) if path.startswith("data/")}
    report = erase([dataset.uri], Request(frozenset({people[42]})))
    assert (report.datasets[0].rows, report.datasets[0].shards, report.datasets[0].retired) == (20, 1, (42,))
    after = open_dataset(dataset.uri)
    assert after.snapshot.rows == 1980
    assert people[42] not in after.read(["identity"]).column("identity").to_pylist()
    kept = {path: data for path, data in everything(dataset.uri) if files.get(path) == data}
    assert len(kept) == 9
    assert_no_trace(dataset.uri, [people[42].encode(), *lost[:5]])
    whole = b"".join(data for _, data in everything(dataset.uri))
    assert not any(picture in whole for picture in lost)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), people=st.integers(2, 5), images=st.integers(1, 4), shards=st.integers(1, 4))
def test_all_others_stay_as_they_were(seed: int, people: int, images: int, shards: int) -> None:
    random = np.random.Generator(np.random.Philox(seed))
    names = [f"person-{number}" for number in range(people)]
    classes, source = ClassMap.of(names), people_source("market", names, images)
    rows = people_synthetic(source, classes, "teacher", poses=source.take(random.permutation(source.num_rows)))
    cuts = sorted(random.integers(0, rows.num_rows + 1, shards - 1).tolist())
    parts = [rows.slice(begin, end - begin) for begin, end in pairwise([0, *cuts, rows.num_rows])]
    dataset = write(f"memory://{uuid.uuid4().hex}/made", "synthetic", *parts, classes=classes)
    gone = names[random.integers(people)]
    key = subject_key("market", gone)
    (told,) = erase([dataset.uri], Request(frozenset({gone}))).datasets
    after = open_dataset(dataset.uri)
    kept = [row for row in dataset_rows(parts) if key not in row["subject_keys"]]
    assert dataset_rows([after.read()]) == kept
    assert told.rows == rows.num_rows - len(kept)
    assert validate(dataset.uri).faults == []
    same = [old for old, new in zip(dataset.snapshot.files, after.snapshot.files, strict=True) if old == new]
    assert len(same) == len(parts) - told.shards


def dataset_rows(tables: list[pa.Table]) -> list[dict[str, Any]]:
    return [row for table in tables for row in conform(table, SYNTHETIC_SCHEMA).to_pylist()]
