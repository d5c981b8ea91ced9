from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.__main__ import main
from manifests.checking.validate import validate
from manifests.erasing.erase import ErasureReport, erase
from manifests.erasing.traces import Request
from manifests.errors import UserError
from manifests.format.names import subject_key
from manifests.format.schema import SOURCE_SCHEMA, SYNTHETIC_SCHEMA, conform
from manifests.format.soft_labels import ClassMap, expand
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.erasure_log import erasure_key, read_log
from manifests.reading.origins import find_origins
from manifests.showing.report import report_page
from manifests.showing.report.pictures import encode, open_image
from manifests.storage.whole_files import open_storage
from manifests.writing.run import DatasetRun
from tests.manifests.manifest_rows import name, sha, source_rows
from tests.manifests.people_rows import (
    assert_no_trace,
    everything,
    noise_rows,
    people_annotations,
    people_source,
    people_synthetic,
    rejects,
    write,
)

PEOPLE = ["aardvark", "badger", "civet", "zebra"]
GONE = "badger"
CLASSES = ClassMap.of(PEOPLE)


@dataclass
class Family:
    """Source, annotations and synthetic rows of the same people; a shard for each two of them."""

    source: Dataset
    annotations: Dataset
    synthetic: Dataset

    @property
    def uris(self) -> list[str]:
        return [self.source.uri, self.annotations.uri, self.synthetic.uri]

    def again(self) -> Family:
        return Family(*(open_dataset(uri) for uri in self.uris))


@pytest.fixture(params=["local", "memory"])
def family(request: pytest.FixtureRequest, tmp_path: Path) -> Family:
    return make_family(str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}")


@pytest.fixture
def local(tmp_path: Path) -> Family:
    return make_family(str(tmp_path))


def make_family(root: str) -> Family:
    shards = [people_source("market", PEOPLE[:2], 3), people_source("market", PEOPLE[2:], 3)]
    poses = [shards[0].take([3, 4, 5, 0, 1, 2]), shards[1].take([3, 4, 5, 0, 1, 2])]
    broken = rejects(
        {"relative_path": f"train/{GONE}_9.png"},
        {"relative_path": "train/civet_9.png", "source_sha256": sha("civet")},
    )
    first = shards[0].to_pylist()[3]
    unmade = rejects(
        {"item_id": name("x"), "source_sha256": first["image_sha256"], "relative_path": first["relative_path"]}
    )
    rows = [
        people_synthetic(shards[0], CLASSES, "lsr"),
        people_synthetic(shards[1], CLASSES, "teacher"),
        people_synthetic(shards[1], CLASSES, "mprl"),
        people_synthetic(shards[0], CLASSES, "lsr", poses=poses[0]),
        people_synthetic(shards[1], CLASSES, "one_hot", poses=poses[1]),
        noise_rows(2, CLASSES),
    ]
    run = {"inputs": [{"id": "market"}], "people": {GONE: 3, "civet": 3}, "first": GONE, "all": [*PEOPLE]}
    return Family(
        write(f"{root}/source", "source", *shards, rejected=broken, run=run),
        write(f"{root}/annotations", "annotation", *map(people_annotations, shards), rejected=unmade),
        write(f"{root}/synthetic", "synthetic", *rows, classes=CLASSES, rejected=unmade, run=run),
    )


def erase_gone(family: Family, **options: Any) -> ErasureReport:
    return erase(family.uris, Request(frozenset({GONE})), **options)


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


def test_what_loses_nothing_stays_byte_for_byte(family: Family) -> None:
    before = {uri: dict(everything(uri)) for uri in family.uris}
    report = erase_gone(family)
    for old, new, told in zip(
        (family.annotations, family.synthetic, family.source),
        (family.again().annotations, family.again().synthetic, family.again().source),
        report.datasets,
        strict=True,
    ):
        kept = [one for one in new.snapshot.files if one in old.snapshot.files]
        assert len(old.snapshot.files) - len(kept) == told.shards
        now = dict(everything(new.uri))
        assert all(now[entry.path] == before[old.uri][entry.path] for entry in kept)
        assert [path for path in now if path.startswith("data/")] == [entry.path for entry in new.snapshot.files]
        assert [entry.rows for entry in new.snapshot.files][-1] == [entry.rows for entry in old.snapshot.files][-1]


def test_the_class_keeps_its_number_without_the_name(family: Family) -> None:
    before = expand(family.synthetic.read(), len(CLASSES))
    kept = [
        subject_key("market", GONE) not in keys for keys in family.synthetic.read().column("subject_keys").to_pylist()
    ]
    report = erase_gone(family)
    after = family.again().synthetic
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


def test_a_receipt_cannot_be_had_from_the_log(family: Family) -> None:
    report = erase_gone(family)
    assert report.receipt is not None
    for uri in family.uris:
        assert_no_trace(uri, [report.receipt.encode()])
    other = erase(family.uris, Request(frozenset({"civet"})))
    assert other.receipt != report.receipt
    keys = [entry.keys for entry in family.again().synthetic.snapshot.erasures]
    assert len(set(keys)) == 2


def test_a_dry_run_says_the_same_and_writes_nothing(family: Family) -> None:
    before = {uri: everything(uri) for uri in family.uris}
    told = erase_gone(family, dry_run=True)
    assert {uri: everything(uri) for uri in family.uris} == before
    assert told.receipt is None
    assert erase_gone(family).datasets == told.datasets


def test_a_reject_that_names_nobody_stays(tmp_path: Path) -> None:
    shard = people_source("market", PEOPLE[:2], 3)
    nobodys = rejects({"item_id": name("nobody"), "relative_path": None, "message": None})
    source = write(str(tmp_path / "source"), "source", shard)
    synthetic = write(
        str(tmp_path / "made"), "synthetic", people_synthetic(shard, CLASSES, "lsr"), classes=CLASSES, rejected=nobodys
    )
    report = erase([source.uri, synthetic.uri], Request(frozenset({GONE})))
    assert {one.kind: (one.rows, one.rejects) for one in report.datasets} == {"source": (3, 0), "synthetic": (3, 0)}


def test_once_more_changes_nothing(family: Family) -> None:
    erase_gone(family)
    before = {uri: everything(uri) for uri in family.uris}
    again = erase_gone(family)
    assert again.not_found == (GONE,)
    assert {uri: everything(uri) for uri in family.uris} == before


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


def test_shards_that_name_everybody_are_written_anew(local: Family) -> None:
    """As version 1.0 wrote them: the whole class map in each footer."""
    from manifests.disk.records import commit_path, dump, load, snapshot_path
    from manifests.disk.shards import put_table

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


def test_rows_are_appended_to_what_was_erased_under_its_numbers(local: Family) -> None:
    erase_gone(local)
    dataset = local.again().synthetic
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


def test_ten_thousand_rows(tmp_path: Path) -> None:
    people = [f"person-{number:03d}-of-100" for number in range(100)]
    classes = ClassMap.of(people)
    source = people_source("market", people, 100)
    shards = [people_synthetic(source.slice(start, 1000), classes) for start in range(0, 10_000, 1000)]
    dataset = write(str(tmp_path / "made"), "synthetic", *shards, classes=classes)
    lost = [row["image"]["bytes"] for row in shards[4].to_pylist() if row["identity"] == people[42]]
    assert (dataset.snapshot.rows, len(lost)) == (10_000, 100)
    files = {path: data for path, data in everything(dataset.uri) if path.startswith("data/")}
    report = erase([dataset.uri], Request(frozenset({people[42]})))
    assert (report.datasets[0].rows, report.datasets[0].shards, report.datasets[0].retired) == (100, 1, (42,))
    after = open_dataset(dataset.uri)
    assert after.snapshot.rows == 9_900
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


def test_models_that_learned_from_the_person_are_named(tmp_path: Path) -> None:
    generator = tmp_path / "generator"
    generator.mkdir()
    keys = [subject_key("market", one) for one in PEOPLE]
    (generator / "generator.json").write_text(
        json.dumps({"sha256": {"generator": sha("generator")}, "data": {"source": {"subjects": keys}}})
    )
    source = people_source("market", PEOPLE, 1)
    models = [
        {"sha256": sha("generator"), "uri": str(generator), "recipe": "ptgan", "name": "mine"},
        {"sha256": sha("other"), "uri": "gone", "recipe": "reid", "trained_on": {"train": {"dataset_ids": ["market"]}}},
        {"sha256": sha("foreign"), "uri": "gone", "recipe": "reid", "trained_on": {"train": {"dataset_ids": ["duke"]}}},
        {"sha256": sha("named"), "uri": "sam_tiny", "recipe": "", "trained_on": "drawn people"},
    ]
    rows = people_synthetic(source, CLASSES)
    made = write(str(tmp_path / "made"), "synthetic", rows, classes=CLASSES, run={"checkpoints": models})
    told = {model.sha256: model for model in erase([made.uri], Request(frozenset({GONE})), dry_run=True).models}
    verdicts = {digest: model.learned for digest, model in told.items()}
    assert verdicts == {sha("generator"): "yes", sha("other"): "perhaps", sha("foreign"): "no", sha("named"): "unknown"}
    assert told[sha("generator")].rows == 4
    assert "trained on market" in told[sha("other")].because
    (generator / "generator.json").write_text(
        json.dumps({"sha256": {"generator": sha("generator")}, "data": {"source": {"subjects": keys[2:]}}})
    )
    report = erase([made.uri], Request(frozenset({GONE})))
    assert {model.sha256: model.learned for model in report.models}[sha("generator")] == "no"


def test_the_command(local: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "list.txt"
    image = local.source.read(["image_id"]).column("image_id")[0].as_py()
    listed.write_text(f"# people who asked\n{GONE}\n\n{image}\nidentity: nobody\n")
    assert main(["erase", *local.uris, "--list", str(listed), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"{local.source.uri}: would erase 4 source rows" in said
    assert "on no row of these data sets (misspelt, or erased before): nobody" in said
    assert main(["erase", *local.uris, "--list", str(listed), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [one["rows"] for one in report["datasets"]] == [4, 10, 4]
    assert report["receipt"]
    assert main(["show", local.source.uri]) == 0
    assert "1 rejected of 14 planned, 5 erased since" in capsys.readouterr().out
    assert main(["erase", *local.uris, "--identity", GONE]) == 1, "a script must not take a misspelt name for erased"
    assert f"{local.source.uri}: nothing" in capsys.readouterr().out


def test_a_card_that_somebody_changed_is_written_anew_and_that_is_said(
    local: Family, capsys: pytest.CaptureFixture[str]
) -> None:
    card = Path(local.source.uri, "README.md")
    card.write_text(card.read_text(encoding="utf-8") + f"\nThanks to {GONE}.\n", encoding="utf-8")
    assert main(["erase", *local.uris, "--identity", GONE, "--dry-run"]) == 0
    assert (
        capsys.readouterr().out.count("README.md was changed by hand or is of an older version: would be written") == 1
    )
    assert main(["erase", *local.uris, "--identity", GONE]) == 0
    assert capsys.readouterr().out.count("was written anew") == 1
    assert "Thanks" not in card.read_text(encoding="utf-8")


def test_to_finish_what_was_stopped_is_no_mistake(local: Family, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["erase", *local.uris, "--identity", GONE]) == 0
    edit_json(local.source.uri, "run.json", lambda run: run.update(status="erasing"))
    capsys.readouterr()
    assert main(["erase", *local.uris, "--identity", GONE]) == 0
    assert f"{local.source.uri}: an earlier erasure had been stopped there; it is finished" in capsys.readouterr().out


def edit_json(uri: str, path: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    file = Path(uri, path)
    value = json.loads(file.read_bytes())
    edit(value)
    file.write_text(json.dumps(value))


FAULTS: dict[str, tuple[str, str, Callable[[str], None]]] = {
    "no log": ("erasure", "erasures.parquet", lambda uri: Path(uri, "erasures.parquet").unlink()),
    "a log that is none": (
        "log",
        "erasures.parquet",
        lambda uri: Path(uri, "erasures.parquet").write_bytes(b"PAR1"),
    ),
    "another count": (
        "conservation",
        "_snapshots",
        lambda uri: edit_json(
            uri, "_snapshots/2.json", lambda value: (value["erasures"][0].update(rows=8), value.update(erased=9))
        ),
    ),
    "rows that went without a record": (
        "conservation",
        "_commits/000000.json",
        lambda uri: edit_json(uri, "_commits/000000.json", lambda value: value.update(erased=0)),
    ),
    "an old snapshot": (
        "erasure",
        "_snapshots/1.json",
        lambda uri: Path(uri, "_snapshots/1.json").write_bytes(Path(uri, "_snapshots/2.json").read_bytes()),
    ),
    "an erasure under way": (
        "erasure",
        "run.json",
        lambda uri: edit_json(uri, "run.json", lambda value: value.update(status="erasing")),
    ),
    "a shard that names who is retired": ("schema", "data", lambda uri: retire(uri, "zebra")),
}


def retire(uri: str, identity: str) -> None:
    """Take a name out of the snapshot's class map alone."""
    key = ClassMap.FOOTER_KEY
    edit_json(
        uri,
        "_snapshots/2.json",
        lambda value: value["footer"].update(
            {key: ClassMap.from_json(value["footer"][key]).without({identity}).to_json()}
        ),
    )


@pytest.mark.parametrize("case", FAULTS)
def test_what_does_not_add_up_after_an_erasure_is_found(local: Family, case: str) -> None:
    erase_gone(local)
    check, file, plant = FAULTS[case]
    plant(local.synthetic.uri)
    faults = validate(local.synthetic.uri).faults
    assert any(fault.check == check and fault.file.startswith(file) for fault in faults), faults


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nobody is named"),
        (["--identity", ""], "nobody is named"),
        (["--image", "0001.jpg"], "'0001.jpg' names no image"),
        (["--list", "missing.txt"], "cannot read the list missing.txt"),
    ],
)
def test_mistakes_are_one_line(
    local: Family, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["erase", *local.uris, *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
