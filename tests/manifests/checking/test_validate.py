"""`validate` finds each planted fault and says where it is."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import ExifTags, Image

from manifests.checking.faults import Fault
from manifests.checking.rows import _is_flat
from manifests.checking.validate import validate
from manifests.common.pictures import decode_picture
from manifests.disk import parquet
from manifests.errors import UserError
from manifests.format.schema import LABEL_RULES, NEEDS_TEACHER, SOURCE_TYPES, SYNTHETIC_SCHEMA, VERSION_KEY, Kind
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import open_dataset
from manifests.storage.whole_files import open_storage
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import (
    FOOTER,
    PLAN_ID,
    annotation_rows,
    mask,
    name,
    picture,
    sha,
    source_rows,
    synthetic_rows,
)

Edit = Callable[[dict[str, Any]], None]


def rewrite(dataset: Dataset, table: pa.Table, number: int = 0, footer: dict[str, str] | None = None) -> str:
    """Put ``table`` in the place of a shard and let log and name agree: only the rows are wrong then."""
    root, entry = Path(dataset.uri), dataset.snapshot.files[number]
    data = parquet.encode(table, footer if footer is not None else dataset.footer).to_pybytes()
    digest = hashlib.sha256(data).hexdigest()
    path = f"data/{entry.shard:06d}-{digest[:16]}.parquet"
    (root / entry.path).unlink()
    (root / path).write_bytes(data)
    logs = ("_snapshots/1.json", f"_commits/{entry.shard:06d}.json", "croissant.json", "provenance.intoto.json")
    for log in map(root.joinpath, logs):
        text = log.read_text().replace(entry.path, path).replace(entry.sha256, digest)
        log.write_text(text.replace(f'"bytes": {entry.bytes},', f'"bytes": {len(data)},'))
    return path


def edited(table: pa.Table, row: int, edit: Edit) -> pa.Table:
    rows = table.to_pylist()
    edit(rows[row])
    return pa.Table.from_pylist(rows, schema=table.schema)


def closed(uri: str, kind: Kind, rows: pa.Table) -> Dataset:
    run = DatasetRun.start(uri, kind, PLAN_ID, {0: rows.num_rows}, footer=FOOTER if kind == "synthetic" else {})
    run.sink.commit(0, rows)
    run.close()
    return open_dataset(uri)


def the_fault(uri: str) -> Fault:
    faults = validate(uri).faults
    assert len(faults) == 1, [str(fault) for fault in faults]
    return faults[0]


def test_good_data_sets_of_every_kind_pass(dataset: Dataset, tmp_path: Path) -> None:
    report = validate(dataset.uri)
    assert report.faults == []
    assert (report.rows, report.files) == (12, 5)
    twice = pa.concat_tables([annotation_rows(3), annotation_rows(3, "sam_vit_b")])
    for kind, rows in (("source", source_rows(9)), ("annotation", twice)):
        assert validate(closed(str(tmp_path / kind), kind, rows).uri).faults == []  # type: ignore[arg-type]


def test_images_of_nobody_made_from_noise_pass(uri: str) -> None:
    table = synthetic_rows(0, 3)
    for row in range(3):
        table = edited(table, row, made_of_noise)
    report = validate(closed(uri, "synthetic", table.sort_by("sample_id")).uri)
    assert (report.faults, report.rows) == ([], 3)


def test_a_data_set_of_thousands_of_rows_is_checked_in_batches(uri: str) -> None:
    dataset = closed(uri, "annotation", annotation_rows(2100))
    assert validate(dataset.uri).rows == 2100


def set_label(row: dict[str, Any], entries: list[tuple[int, float]], rest: float) -> None:
    row.update(soft_label=[{"idx": idx, "val": val} for idx, val in entries], soft_label_rest=rest)


def put(row: dict[str, Any], data: bytes) -> None:
    row["image"]["bytes"] = data
    row["image_sha256"] = hashlib.sha256(data).hexdigest()


def huge(mode: str) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (4100, 4100)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def made_of_noise(row: dict[str, Any], **wrong: Any) -> None:
    nobody = {"identity": None, "hard_label": -1, "sources": [], "subject_keys": [], "recipe": "gan_lsro"}
    third = float(np.float32(1 / 3))
    label = {"soft_label": [], "soft_label_rest": third, "label_rule": "lsro", "label_epsilon": None}
    row.update({**nobody, **label, **wrong})


def lsr_entries(row: dict[str, Any]) -> list[tuple[int, float]]:
    return [(entry["idx"], entry["val"]) for entry in row["soft_label"]]


SYNTHETIC_FAULTS: dict[str, tuple[str, Edit]] = {
    "label sums to 1.1": ("label", lambda row: set_label(row, lsr_entries(row), row["soft_label_rest"] + 0.05)),
    "label is negative": ("label", lambda row: set_label(row, [(row["hard_label"], 1.2)], -0.1)),
    "label lists a class twice": ("label", lambda row: set_label(row, [(2, 0.5), (2, 0.5)], 0.0)),
    "label outside of the classes": ("label", lambda row: set_label(row, [(3, 1.0)], 0.0)),
    "label of another class than lsr's": ("label", lambda row: set_label(row, [(0, 1.0)], 0.0)),
    "label that its rule does not give": ("label", lambda row: set_label(row, [(2, 1.0)], 0.0)),
    "lsr without epsilon": ("label", lambda row: row.update(label_epsilon=None)),
    "wrong class count": ("classes", lambda row: row.update(num_classes=4)),
    "hard label of someone else": ("label", lambda row: row.update(hard_label=1)),
    "unknown rule": ("label_rule", lambda row: row.update(label_rule="guess")),
    "unknown split": ("split", lambda row: row.update(split="validation")),
    "no picture": ("image", lambda row: row["image"].update(bytes=None)),
    "flipped bit in the picture": (
        "image",
        lambda row: row["image"].update(bytes=row["image"]["bytes"][:-1] + b"\0"),
    ),
    "truncated picture": ("image", lambda row: put(row, row["image"]["bytes"][:200])),
    "a picture that is text": ("image", lambda row: put(row, b"hello")),
    "a picture that would fill the memory": ("image", lambda row: put(row, huge("RGB"))),
    "a picture that starts a program": ("image", lambda row: put(row, b"%!PS-Adobe-3.0 EPSF-3.0\n")),
    "a mask that would fill the memory": ("mask", lambda row: row.update(mask=huge("1"))),
    "other pixels": ("image", lambda row: put(row, picture(99)[0])),
    "wrong width": ("size", lambda row: row.update(width=9)),
    "path leads out": ("path", lambda row: row["image"].update(path="../x.png")),
    "absolute path": ("path", lambda row: row["image"].update(path="/etc/passwd")),
    "path is a URL": ("path", lambda row: row["image"].update(path="http://x")),
    "mask of another size": ("mask", lambda row: row.update(mask=mask(9, 16))),
    "mask that is no mask": ("mask", lambda row: row.update(mask=picture(1)[0])),
    "mask that does not decode": ("mask", lambda row: row.update(mask=mask()[:40])),
    "five keypoints": ("keypoints", lambda row: row.update(keypoints=[{"x": 0.0, "y": 0.0, "score": 0.0}] * 5)),
    "keypoint at infinity": (
        "keypoints",
        lambda row: row.update(keypoints=[{"x": float("inf"), "y": 0.0, "score": 0.0}] * 17),
    ),
    "quality is NaN": ("quality", lambda row: row["quality"].update(sharpness=float("nan"))),
    "a probability above 1": ("quality", lambda row: row["quality"].update(target_confidence=1.5)),
    "no sources": ("provenance", lambda row: row.update(sources=[])),
    "nobody's image from another's pixels": ("provenance", lambda row: made_of_noise(row, recipe="ptgan")),
    "sources of what is made from noise": ("provenance", lambda row: row.update(recipe="gan_lsro")),
    "people of what is made from noise": ("provenance", lambda row: made_of_noise(row, subject_keys=[name("x")])),
    "a class of nobody": ("label", lambda row: made_of_noise(row, hard_label=2)),
    "source without digest": ("provenance", lambda row: row["sources"][0].update(sha256=None)),
    "nobody's key": ("provenance", lambda row: row.update(subject_keys=[])),
    "no recipe": ("provenance", lambda row: row.update(recipe="")),
    "no settings": ("provenance", lambda row: row.update(settings_sha256="abc")),
    "no checkpoint": ("provenance", lambda row: row.update(checkpoint_sha256s=[])),
    "another plan": ("provenance", lambda row: row.update(plan_id=sha("another"))),
    "not said to be synthetic": ("provenance", lambda row: row.update(digital_source_type="digitalCapture")),
    "a source that is nothing": ("malformed", lambda row: row.update(sources=[None])),
    "no classes at all": ("malformed", lambda row: row.update(num_classes=0)),
    "id of another form": ("name", lambda row: row.update(sample_id="f")),
}


@pytest.mark.parametrize("source_type", SOURCE_TYPES)
def test_every_way_to_make_an_image_is_one(source_type: str, uri: str) -> None:
    rows = synthetic_rows(0, 3).to_pylist()
    said = pa.Table.from_pylist([row | {"digital_source_type": source_type} for row in rows], SYNTHETIC_SCHEMA)
    assert validate(closed(uri, "synthetic", said).uri).faults == []


@pytest.mark.parametrize("case", SYNTHETIC_FAULTS)
def test_faults_in_synthetic_rows_are_found_and_named(case: str, uri: str) -> None:
    dataset = closed(uri, "synthetic", synthetic_rows(0, 3))
    check, edit = SYNTHETIC_FAULTS[case]
    last = 2  # of the greatest identity: an id may change and the order still holds
    path = rewrite(dataset, edited(dataset.read(), last, edit))
    faults = [fault for fault in validate(uri).faults if fault.check == check]
    assert faults, validate(uri).to_text()
    row = open_dataset(uri).read(["sample_id"]).column("sample_id")[last].as_py()
    assert {(fault.file, fault.row) for fault in faults} == {(path, row)}


@pytest.mark.parametrize("rule", LABEL_RULES)
def test_only_a_teacher_gives_any_distribution(rule: str, uri: str) -> None:
    def edit(row: dict[str, Any]) -> None:
        row.update(label_rule=rule)
        set_label(row, [(2, 0.5), (0, 0.25)], 0.25)

    dataset = closed(uri, "synthetic", synthetic_rows(0, 3))
    rewrite(dataset, edited(dataset.read(), 2, edit))
    assert {fault.check for fault in validate(uri).faults} == (set() if rule in NEEDS_TEACHER else {"label"})


SOURCE_FAULTS: dict[str, tuple[str, Edit]] = {
    "role": ("role", lambda row: row.update(role="ghost")),
    "junk with an identity": ("identity", lambda row: row.update(role="junk", identity="0001")),
    "path leads out": ("path", lambda row: row.update(relative_path="train/../../x.jpg")),
    "absolute path": ("path", lambda row: row.update(relative_path="/etc/passwd")),
    "path on another system": ("path", lambda row: row.update(relative_path="C:\\x.jpg")),
    "path is a URL": ("path", lambda row: row.update(relative_path="https://x/y.jpg")),
    "picture": ("image", lambda row: row["image"].update(bytes=row["image"]["bytes"][:-40])),
}


@pytest.mark.parametrize("case", SOURCE_FAULTS)
def test_faults_in_source_rows_are_found_and_named(case: str, uri: str) -> None:
    dataset = closed(uri, "source", source_rows(4))
    check, edit = SOURCE_FAULTS[case]
    path = rewrite(dataset, edited(dataset.read(), 1, edit))
    faults = [fault for fault in validate(uri).faults if fault.check == check]
    row = open_dataset(uri).read(["image_id"]).column("image_id")[1].as_py()
    assert {(fault.file, fault.row) for fault in faults} == {(path, row)}


def test_whom_nobody_counts_may_be_known(uri: str) -> None:
    """PRID 2011 names its distractors."""
    closed(uri, "source", edited(source_rows(4), 1, lambda row: row.update(role="distractor", identity="a-0201")))
    assert validate(uri).faults == []


def test_a_picture_that_others_turn_is_told_of_and_no_fault(uri: str) -> None:
    exif, stream = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(picture(0)[1]).save(stream, "PNG", exif=exif)
    data = stream.getvalue()
    changed = {"image": {"bytes": data, "path": "0.png"}, "image_sha256": hashlib.sha256(data).hexdigest()}
    report = validate(closed(uri, "source", edited(source_rows(2), 0, lambda row: row.update(changed))).uri)
    assert report.faults == []
    (warning,) = report.warnings
    assert warning.message.startswith("EXIF orientation 6: other programs turn it")


def test_annotations_without_their_models_digest(uri: str) -> None:
    dataset = closed(uri, "annotation", annotation_rows(2))
    rewrite(dataset, edited(dataset.read(), 0, lambda row: row.update(segmenter_sha256=None)))
    assert the_fault(uri).check == "provenance"


def test_a_row_that_is_there_twice(dataset: Dataset) -> None:
    table = next(dataset.shards())
    rewrite(dataset, table.take([0, 0, *range(2, table.num_rows)]))
    fault = the_fault(dataset.uri)
    assert (fault.check, fault.row) == ("unique", table.column("sample_id")[0].as_py())


def test_rows_out_of_order(dataset: Dataset) -> None:
    table = next(dataset.shards())
    rewrite(dataset, table.take(np.arange(table.num_rows)[::-1]))
    assert the_fault(dataset.uri).check == "order"


def test_a_missing_row(dataset: Dataset) -> None:
    path = rewrite(dataset, next(dataset.shards()).slice(1))
    faults = {(fault.check, fault.file) for fault in validate(dataset.uri).faults}
    assert faults == {("rows", path)}


def test_a_file_is_opened_once_and_what_all_share_is_read_once(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be 100,000 of them: whatever is done for each file anew is done as often."""
    shards = 5
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, dict.fromkeys(range(shards), 1), footer=FOOTER)
    for shard in range(shards):
        run.sink.commit(shard, synthetic_rows(shard, 1))
    run.close()
    read: Counter[str] = Counter()
    listed: list[str] = []
    parsed: list[str] = []
    local = type(open_storage(uri))
    plain_read, plain_list, plain_parse = local.read, local.list, ClassMap.from_json
    monkeypatch.setattr(local, "read", lambda self, path: read.update([path]) or plain_read(self, path))
    monkeypatch.setattr(local, "list", lambda self, prefix="": listed.append(prefix) or plain_list(self, prefix))
    monkeypatch.setattr(ClassMap, "from_json", lambda text: parsed.append(text) or plain_parse(text))
    assert validate(uri).faults == []
    assert {read[path] for path in read if path.startswith(("data/", "_commits/"))} == {1}
    assert sum(path.startswith("data/") for path in read) == shards
    assert "" not in listed  # all folders with all their files
    assert len(parsed) == shards + 1  # each file's names, and the data set's


def test_a_flipped_byte_in_a_shard(dataset: Dataset) -> None:
    file = Path(dataset.files()[0])
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    assert ("digest", f"data/{file.name}") in {(one.check, one.file) for one in validate(dataset.uri).faults}


def test_a_torn_shard(dataset: Dataset) -> None:
    file = Path(dataset.files()[0])
    file.write_bytes(file.read_bytes()[:5000])
    checks = [one.check for one in validate(dataset.uri).faults if one.file == f"data/{file.name}"]
    assert checks == ["digest", "digest", "unreadable"]


def test_a_missing_shard_and_a_missing_rejects_file(dataset: Dataset) -> None:
    for entry in (dataset.snapshot.files[1], dataset.snapshot.rejects[0]):
        kept = Path(dataset.uri, entry.path).rename(Path(dataset.uri, "aside"))
        assert (the_fault(dataset.uri).check, the_fault(dataset.uri).file) == ("missing", entry.path)
        kept.rename(Path(dataset.uri, entry.path))


@pytest.mark.parametrize("folder", ["data", "rejects"])
def test_a_file_too_many(dataset: Dataset, folder: str) -> None:
    extra = f"{folder}/000000-0123456789abcdef.parquet"
    shutil.copy(dataset.files()[0], Path(dataset.uri, extra))
    assert (the_fault(dataset.uri).check, the_fault(dataset.uri).file) == ("extra", extra)


def test_a_missing_commit_record(dataset: Dataset) -> None:
    Path(dataset.uri, "_commits/000001.json").unlink()
    assert (the_fault(dataset.uri).check, the_fault(dataset.uri).file) == ("log", "_commits/000001.json")


def edit_json(dataset: Dataset, path: str, edit: Edit) -> None:
    file = Path(dataset.uri, path)
    value = json.loads(file.read_bytes())
    edit(value)
    file.write_text(json.dumps(value))


def test_a_record_that_names_another_file(dataset: Dataset) -> None:
    edit_json(dataset, "_commits/000000.json", lambda value: value["data"].update(sha256="0" * 64))
    assert the_fault(dataset.uri).check == "log"


def test_rows_that_were_planned_and_never_written(dataset: Dataset) -> None:
    edit_json(dataset, "_commits/000000.json", lambda value: value.update(planned=9))
    faults = validate(dataset.uri).faults
    assert {fault.check for fault in faults} == {"conservation"}
    assert "planned 9, written 7, rejected 0" in str(faults[0])


def test_rejected_rows_without_a_reason(dataset: Dataset) -> None:
    edit_json(dataset, "_commits/000002.json", lambda value: value.update(reasons={}))
    of_the_record, of_all = map(str, validate(dataset.uri).faults)
    assert "2 rejected rows, reasons for 0" in of_the_record
    assert "rejected for {'corrupt': 1, 'too_dark': 2}, {'corrupt': 1} by shard" in of_all


@pytest.mark.parametrize("path", ["_snapshots/1.json", "_commits/000000.json", "run.json"])
def test_a_log_file_that_is_not_json(dataset: Dataset, path: str) -> None:
    Path(dataset.uri, path).write_text("{")
    assert (the_fault(dataset.uri).check, the_fault(dataset.uri).file) == ("log", path)


def test_a_snapshot_that_leads_out(dataset: Dataset) -> None:
    edit_json(dataset, "_snapshots/1.json", lambda value: value["files"][0].update(path="../../x.parquet"))
    assert the_fault(dataset.uri).file == "_snapshots/1.json"


def test_a_shard_with_other_columns(dataset: Dataset) -> None:
    path = rewrite(dataset, next(dataset.shards()).drop_columns("seed"))
    fault = the_fault(dataset.uri)
    assert (fault.check, fault.file) == ("schema", path)
    assert "seed: int64" in fault.message


def test_a_shard_of_a_newer_version(dataset: Dataset) -> None:
    table = next(dataset.shards())
    newer = table.replace_schema_metadata({**table.schema.metadata, VERSION_KEY: b"2.0"})
    path = rewrite(dataset, newer)
    assert (the_fault(dataset.uri).check, the_fault(dataset.uri).file) == ("schema", path)


def test_a_shard_that_lost_its_picture_feature(dataset: Dataset) -> None:
    table = next(dataset.shards())
    kept = {key: value for key, value in table.schema.metadata.items() if key != b"huggingface"}
    rewrite(dataset, table.replace_schema_metadata(kept))
    assert "'huggingface'" in the_fault(dataset.uri).message


def test_a_shard_with_another_class_map(dataset: Dataset) -> None:
    table = next(dataset.shards())
    rewrite(dataset, table, footer={next(iter(FOOTER)): '{"identities": ["1", "2", "3"]}'})
    assert (the_fault(dataset.uri).check) == "schema"


def test_a_missing_card_and_a_stale_index(dataset: Dataset) -> None:
    Path(dataset.uri, "README.md").unlink()
    assert the_fault(dataset.uri).file == "README.md"
    Path(dataset.uri, "README.md").write_text("# mine")
    shutil.copy(dataset.files()[0], Path(dataset.uri, "samples_meta.table"))
    faults = [str(fault) for fault in validate(dataset.uri).faults]
    assert faults == [
        "rows: samples_meta.table: 7 rows, the data set has 12",
        "metadata: croissant.json: its SHA-256 of samples_meta.table is not the file's",
        "metadata: provenance.intoto.json: its SHA-256 of samples_meta.table is not the file's",
    ]
    Path(dataset.uri, "samples_meta.table").unlink()
    assert (the_fault(dataset.uri).check, the_fault(dataset.uri).file) == ("missing", "samples_meta.table")


def test_an_append_under_way_is_no_fault(dataset: Dataset) -> None:
    plan = sha("another plan")
    run = DatasetRun.start(dataset.uri, "synthetic", plan, {0: 3}, footer=FOOTER, append=True)
    run.sink.commit(0, synthetic_rows(0, 3, plan))
    assert validate(dataset.uri).faults == []
    run.close()
    assert validate(dataset.uri).rows == 15


def test_what_is_no_closed_data_set_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data set"):
        validate(str(tmp_path))
    DatasetRun.start(str(tmp_path / "begun"), "source", PLAN_ID, {0: 1})
    with pytest.raises(UserError, match="not finished"):
        validate(str(tmp_path / "begun"))


@pytest.mark.parametrize(("low", "high", "flat"), [(0, 0, True), (126, 129, True), (100, 106, False)])
def test_flat_pictures_are_told_of_and_no_fault(uri: str, low: int, high: int, flat: bool) -> None:
    table = source_rows(3)
    stream = io.BytesIO()
    pixels = np.random.Generator(np.random.Philox(0)).integers(low, high + 1, (16, 8, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    for row in (1, 2):
        table = edited(table, row, lambda row: put(row, stream.getvalue()))
    report = validate(closed(uri, "source", table).uri)
    assert report.faults == []
    assert [warning.check for warning in report.warnings] == ["flat"] * 2 * flat
    assert report.to_text().startswith("warning: 2 times, first flat: data/") == flat
    assert report.to_text().endswith(": ok")
    assert json.loads(report.to_json())["ok"]


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "RGBA", "LA", "1"])
def test_pictures_of_every_mode_may_be_flat(mode: str) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    one = Image.fromarray(values) if mode == "I;16" else Image.fromarray((values // 256).astype(np.uint8)).convert(mode)
    assert not _is_flat(decoded(one))
    assert _is_flat(decoded(one.crop((0, 0, 1, 1)).resize((8, 8), Image.Resampling.NEAREST)))


def decoded(image: Image.Image) -> np.ndarray:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return decode_picture(stream.getvalue())
