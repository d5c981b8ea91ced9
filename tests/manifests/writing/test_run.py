from __future__ import annotations

import json
import pickle
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from manifests.errors import UserError
from manifests.format.schema import SCHEMA_VERSION, SYNTHETIC_SCHEMA
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import open_dataset
from manifests.storage.whole_files import open_storage
from manifests.writing.run import CommitRecord, Dataset, DatasetRun, ShardSink
from tests.manifests.manifest_rows import (
    CLASSES,
    FOOTER,
    PLAN_ID,
    annotation_rows,
    reject_rows,
    source_rows,
    synthetic_rows,
)

OTHER_PLAN = "cd" * 32


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, uri: str) -> str:
    return uri if request.param == "local" else f"memory://{uuid.uuid4().hex}/dataset"


def start(uri: str, plan_id: str = PLAN_ID, **options: Any) -> DatasetRun:
    shards = options.pop("shard_rows", {0: 4, 1: 3})
    return DatasetRun.start(uri, "synthetic", plan_id, shards, footer=options.pop("footer", FOOTER), **options)


def commit_all(run: DatasetRun, variant: int = 0) -> None:
    for shard in run.pending():
        run.sink.commit(shard, synthetic_rows(shard, (4, 3)[shard], run.sink.plan_id, variant))


def paths(uri: str, folder: str = "") -> list[str]:
    return [entry.path for entry in open_storage(uri).list(folder)]


def test_a_run_from_start_to_close(place: str) -> None:
    run = start(place, run={"seed": 7})
    assert (run.pending(), run.resumed_shards, run.finished) == ([0, 1], 0, False)
    sink: ShardSink = pickle.loads(pickle.dumps(run.sink))
    record = sink.commit(1, synthetic_rows(1, 2), reject_rows(1), {"seconds": 1.5})
    assert (record.planned, record.reasons, record.stats) == (3, {"corrupt": 1}, {"seconds": 1.5})
    assert record.data.path == f"data/000001-{record.data.sha256[:16]}.parquet"
    assert run.pending() == [0]
    sink.commit(0, synthetic_rows(0, 4))
    snapshot = run.close()
    assert (snapshot.rows, snapshot.rejected, snapshot.planned, run.finished) == (6, 1, 7, True)

    dataset = open_dataset(place)
    assert dataset.kind == "synthetic"
    assert dataset.classes == CLASSES
    assert dataset.scan().collect().height == 6
    assert dataset.read(["camera"]).column_names == ["camera"]
    assert dataset.read(filter=pc.field("identity") == CLASSES.identities[0]).num_rows == 3
    assert [table.num_rows for table in dataset.shards()] == [4, 2]
    assert dataset.rejects().column("reason").to_pylist() == ["corrupt"]
    assert len(dataset.digest()) == 64
    state = dataset.run
    assert (state["status"], state["run"]["seed"]) == ("complete", 7)
    assert state["counts"] == {"planned": 7, "written": 6, "rejected": 1, "erased": 0, "reasons": {"corrupt": 1}}
    assert paths(place, "data") == [entry.path for entry in snapshot.files]


def test_shards_are_the_same_bytes_whoever_writes_them_and_when(tmp_path: Path) -> None:
    digests = []
    for index, order in enumerate(([0, 1], [1, 0])):
        run = start(str(tmp_path / str(index)), run={"attempt": index})
        for shard in order:
            run.sink.commit(shard, synthetic_rows(shard, (4, 3)[shard]), None, {"seconds": index})
        run.close()
        digests.append(open_dataset(run.uri).digest())
    assert digests[0] == digests[1]


def test_a_second_commit_returns_the_first_and_writes_nothing(place: str) -> None:
    run = start(place)
    first = run.sink.commit(0, synthetic_rows(0, 4))
    before = paths(place)
    assert run.sink.commit(0, synthetic_rows(0, 4, variant=1)) == first
    assert paths(place) == before


def test_the_loser_of_a_race_deletes_its_own_file(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(place)
    load: Callable[..., CommitRecord | None] = CommitRecord.load
    raced = []

    def late(*arguments: Any) -> CommitRecord | None:
        # The rival commits just after this worker has seen that nobody had.
        found = load(*arguments)
        if not raced:
            raced.append(True)
            raced.append(run.sink.commit(0, synthetic_rows(0, 4, variant=1)))
        return found

    monkeypatch.setattr(CommitRecord, "load", late)
    assert run.sink.commit(0, synthetic_rows(0, 4)) == raced[1]
    assert paths(place, "data") == [raced[1].data.path]


def test_rivals_with_equal_bytes_share_one_file(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(uri)
    first = run.sink.commit(0, synthetic_rows(0, 4))
    load = CommitRecord.load
    blind = iter([None])
    monkeypatch.setattr(CommitRecord, "load", lambda *arguments: next(blind, load(*arguments)))
    assert run.sink.commit(0, synthetic_rows(0, 4)) == first
    assert paths(uri, "data") == [first.data.path]


def test_resuming_goes_on_where_the_run_stopped(place: str) -> None:
    start(place, run={"seed": 7, "host": "a"}).sink.commit(0, synthetic_rows(0, 4))
    again = start(place, run={"seed": 7, "host": "b"})
    assert (again.pending(), again.resumed_shards) == ([1], 1)
    commit_all(again)
    again.close()
    assert [attempt["changed"] for attempt in open_dataset(place).run["resumed"]] == [{"host": "b"}]
    assert open_dataset(place).run["run"]["host"] == "a"


def test_a_rerun_after_success_writes_nothing(uri: str) -> None:
    run = start(uri)
    commit_all(run)
    first = run.close()
    state = {file: file.stat().st_mtime_ns for file in Path(uri).rglob("*")}
    again = start(uri)
    assert (again.pending(), again.resumed_shards, again.finished) == ([], 2, True)
    assert again.close() == first
    assert {file: file.stat().st_mtime_ns for file in Path(uri).rglob("*")} == state


def test_another_plan_is_refused_before_and_after_the_end(place: str) -> None:
    run = start(place)
    with pytest.raises(UserError, match="unfinished run of another plan"):
        start(place, OTHER_PLAN)
    with pytest.raises(UserError, match="unfinished run of another plan"):
        start(place, OTHER_PLAN, append=True)
    commit_all(run)
    run.close()
    with pytest.raises(UserError, match="finished data set of another plan"):
        start(place, OTHER_PLAN)


def test_a_plan_that_changed_under_its_id_is_refused(uri: str) -> None:
    start(uri)
    with pytest.raises(UserError, match="same plan id but other shards"):
        start(uri, shard_rows={0: 7})


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"no data set \(data/thesis\.txt\)"):
        start(str(tmp_path))
    assert [file.name for file in tmp_path.rglob("*")] == ["data", "thesis.txt"]


def test_append_keeps_what_is_there_and_numbers_on(place: str) -> None:
    run = start(place)
    commit_all(run)
    first = run.close()
    more = start(place, OTHER_PLAN, append=True)
    assert more.pending() == [0, 1]
    more.sink.commit(0, synthetic_rows(0, 4, OTHER_PLAN))
    assert open_dataset(place).snapshot == first
    assert open_dataset(place).scan().collect().height == 7
    resumed = start(place, OTHER_PLAN, append=True)
    assert (resumed.pending(), resumed.resumed_shards) == ([1], 1)
    commit_all(resumed)
    second = resumed.close()
    assert second.files[:2] == first.files
    assert [entry.shard for entry in second.files] == [0, 1, 2, 3]
    assert (second.number, second.rows, second.planned) == (2, 14, 14)
    assert [state["plan"]["plan_id"] for state in open_dataset(place).run["earlier_runs"]] == [PLAN_ID]
    assert start(place, PLAN_ID).finished
    assert start(place, OTHER_PLAN, append=True).finished


def test_append_refuses_other_classes_and_kinds(uri: str) -> None:
    run = start(uri)
    commit_all(run)
    run.close()
    other = {ClassMap.FOOTER_KEY: ClassMap.of(["9999"]).to_json()}
    with pytest.raises(UserError, match="numbers its classes otherwise"):
        start(uri, OTHER_PLAN, append=True, footer=other)
    with pytest.raises(UserError, match="source rows cannot be appended"):
        DatasetRun.start(uri, "source", OTHER_PLAN, {0: 1}, footer=FOOTER, append=True)


def test_a_worker_that_comes_after_the_end_writes_nothing(uri: str) -> None:
    run = start(uri)
    first = run.sink.commit(0, synthetic_rows(0, 4))
    commit_all(run)
    run.close()
    start(uri, OTHER_PLAN, append=True)
    before = paths(uri)
    assert run.sink.commit(0, synthetic_rows(0, 4, variant=1)) == first
    assert paths(uri) == before


def test_a_worker_of_another_plan_stops(uri: str) -> None:
    run = start(uri)
    shutil.rmtree(uri)
    start(uri, OTHER_PLAN)
    with pytest.raises(UserError, match="no longer that of plan"):
        run.sink.commit(0, synthetic_rows(0, 4))
    assert paths(uri, "data") == []


def test_a_shard_that_does_not_add_up_is_not_committed(uri: str) -> None:
    run = start(uri)
    with pytest.raises(ValueError, match="planned 4 rows, got 3 and 0 rejected"):
        run.sink.commit(0, synthetic_rows(0, 3))
    with pytest.raises(ValueError, match="planned None rows"):
        run.sink.commit(9, synthetic_rows(0, 3))
    assert run.pending() == [0, 1]


def test_a_run_that_does_not_add_up_fails_and_can_be_mended(uri: str) -> None:
    run = start(uri)
    run.sink.commit(0, synthetic_rows(0, 4))
    with pytest.raises(UserError, match=r"1 of 2 shards do not add up; first: shard 1 \(3 rows\) was never"):
        run.close()
    assert json.loads(Path(uri, "run.json").read_bytes())["status"] == "failed"
    with pytest.raises(UserError, match=r"not finished: its run is failed \(1 of 2 shards"):
        open_dataset(uri)
    again = start(uri)
    commit_all(again)
    again.close()
    assert "reason" not in open_dataset(uri).run


def test_a_tampered_record_fails_the_run(uri: str) -> None:
    run = start(uri)
    commit_all(run)
    record = Path(uri, "_commits/000001.json")
    value = json.loads(record.read_bytes())
    value["data"]["rows"] = 2
    record.write_text(json.dumps(value))
    with pytest.raises(UserError, match="shard 1: planned 3, written 2, rejected 0"):
        run.close()


def test_fail_is_seen_by_readers(uri: str) -> None:
    start(uri).fail("the generator's weights are missing")
    with pytest.raises(UserError, match=r"its run is failed \(the generator"):
        open_dataset(uri)


def test_an_unfinished_data_set_is_not_opened(uri: str) -> None:
    with pytest.raises(UserError, match="no data set at"):
        open_dataset(uri)
    commit_all(start(uri))
    with pytest.raises(UserError, match="not finished: its run is running"):
        open_dataset(uri)


def test_closing_sweeps_what_writers_left(dataset: Dataset, tmp_path: Path) -> None:
    run = start(str(tmp_path / "second"))
    commit_all(run)
    data = Path(run.uri, "data")
    (data / ".000001-00.parquet.1f.tmp").write_bytes(b"torn")
    (data / "000001-0123456789abcdef.parquet").write_bytes(b"lost")
    snapshot = run.close()
    assert paths(run.uri, "data") == [entry.path for entry in snapshot.files]
    (data / "000001-0123456789abcdef.parquet").write_bytes(b"lost by a worker killed after the close")
    start(run.uri)
    assert paths(run.uri, "data") == [entry.path for entry in snapshot.files]


def test_shards_with_no_rows_and_runs_with_no_shards(place: str) -> None:
    run = start(place, shard_rows={0: 2})
    run.sink.commit(0, synthetic_rows(0, 0), reject_rows(2))
    run.close()
    assert open_dataset(place).read().num_rows == 0
    assert open_dataset(place).scan().collect().schema["hard_label"].is_integer()
    empty = start(f"{place}-empty", shard_rows={})
    assert empty.close().rows == 0
    assert open_dataset(f"{place}-empty").scan().collect().height == 0
    assert open_dataset(f"{place}-empty").read(["camera"]).num_rows == 0


def test_source_and_annotation_rows(tmp_path: Path) -> None:
    for kind, rows in (("source", source_rows(5)), ("annotation", annotation_rows(5))):
        run = DatasetRun.start(str(tmp_path / kind), kind, PLAN_ID, {0: 5})  # type: ignore[arg-type]
        run.sink.commit(0, rows)
        run.close()
        assert open_dataset(run.uri).read().equals(rows)
        assert open_dataset(run.uri).classes is None


def test_samples_meta_says_where_each_row_lies(dataset: Dataset) -> None:
    meta = pq.read_table(Path(dataset.uri, "samples_meta.table"))
    assert meta.column_names[:2] == ["file", "row"]
    assert not {"image", "mask"} & set(meta.column_names)
    last = meta.to_pylist()[-1]
    shard = pq.read_table(Path(dataset.uri, last["file"]))
    assert shard.slice(last["row"], 1).column("sample_id")[0].as_py() == last["sample_id"]


def test_parquet_files_are_written_as_designed(dataset: Dataset) -> None:
    parquet = pq.ParquetFile(dataset.files()[0])
    group = parquet.metadata.row_group(0)
    columns = {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}
    picture, identity = columns["image.bytes"], columns["identity"]
    assert (picture.compression, picture.is_stats_set) == ("UNCOMPRESSED", False)
    assert "RLE_DICTIONARY" not in picture.encodings
    assert (identity.compression, identity.is_stats_set) == ("ZSTD", True)
    assert parquet.schema_arrow.metadata[ClassMap.FOOTER_KEY.encode()].decode() == CLASSES.to_json()
    assert parquet.schema_arrow.equals(SYNTHETIC_SCHEMA)


def test_a_shard_names_its_own_people_alone(uri: str) -> None:
    run = start(uri, shard_rows={0: 1, 1: 3})
    run.sink.commit(0, synthetic_rows(0, 1))
    run.sink.commit(1, synthetic_rows(1, 3))
    run.close()
    footers = [
        pq.read_schema(file).metadata[ClassMap.FOOTER_KEY.encode()].decode() for file in open_dataset(uri).files()
    ]
    assert [ClassMap.from_json(footer).identities for footer in footers] == [("0002", None, None), CLASSES.identities]
    assert open_dataset(uri).classes == CLASSES


def test_row_groups_hold_a_thousand_rows(uri: str) -> None:
    run = DatasetRun.start(uri, "annotation", PLAN_ID, {0: 2500})
    run.sink.commit(0, annotation_rows(2500))
    run.close()
    metadata = pq.ParquetFile(open_dataset(uri).files()[0]).metadata
    assert [metadata.row_group(group).num_rows for group in range(3)] == [1000, 1000, 500]


def test_nothing_is_read_outside_of_the_data_set(dataset: Dataset) -> None:
    snapshot = Path(dataset.uri, "_snapshots/1.json")
    value = json.loads(snapshot.read_bytes())
    for path in ("/etc/passwd", "../other/data/000000-0123456789abcdef.parquet", "data/../x.parquet"):
        value["files"][0]["path"] = path
        snapshot.write_text(json.dumps(value))
        with pytest.raises(UserError, match=r"is no snapshot: files\.0\.path is "):
            open_dataset(dataset.uri)


def test_a_run_record_that_is_none_is_said(uri: str) -> None:
    start(uri)
    Path(uri, "run.json").write_text('{"schema_version": "1.0", "plan": {}}')
    with pytest.raises(UserError, match=r"run\.json is no run record: plan\.plan_id is missing"):
        start(uri)


def test_a_newer_data_set_is_refused_in_one_line(dataset: Dataset) -> None:
    snapshot = Path(dataset.uri, "_snapshots/1.json")
    snapshot.write_text(
        snapshot.read_text().replace(f'"schema_version": "{SCHEMA_VERSION}"', '"schema_version": "2.3"')
    )
    with pytest.raises(UserError, match=r"^[^\n]*schema version 2\.3[^\n]*$"):
        open_dataset(dataset.uri)


def test_a_shard_that_is_gone_or_torn_is_named(dataset: Dataset) -> None:
    file = Path(dataset.files()[1])
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=file.name):
        dataset.read(["camera"])
    file.unlink()
    with pytest.raises(UserError, match=file.name):
        dataset.read(["camera"])


def test_the_digest_follows_the_content(dataset: Dataset, tmp_path: Path) -> None:
    run = start(str(tmp_path / "other"))
    commit_all(run, variant=1)
    run.close()
    assert open_dataset(run.uri).digest() != dataset.digest() == open_dataset(dataset.uri).digest()
    assert isinstance(dataset.read(), pa.Table)


def test_what_is_written_is_known_before_it_is_closed(place: str) -> None:
    run = start(place)
    run.sink.commit(1, synthetic_rows(1, 3))
    with pytest.raises(UserError, match=r"shard 0 \(4 rows\) was never committed"):
        run.written()
    lost = run.sink.commit(0, synthetic_rows(0, 4))
    open_storage(place).delete(lost.data.path)
    # Made again, it has other bytes: the record of the next attempt counts.
    run.sink.commit(0, synthetic_rows(0, 4, PLAN_ID, 1))
    written = run.written()
    rows, again = written.read(), synthetic_rows(0, 4, PLAN_ID, 1).column("image_sha256").to_pylist()
    assert rows.column("image_sha256").to_pylist()[:4] == again
    run.close()
    assert (open_dataset(place).read().equals(rows), open_dataset(place).digest()) == (True, written.digest())
    assert run.written().snapshot == open_dataset(place).snapshot


def test_the_cost_of_a_commit_does_not_grow_with_the_shards(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder is listed, also not for a shard that is there already, and the claim, which names all, is read once."""
    run = start(place)
    storage = type(open_storage(place))
    looked: list[str] = []

    def watched(call: str) -> Callable[..., Any]:
        original = getattr(storage, call)

        def watch(self: Any, path: str = "") -> Any:
            looked.append(f"{call} {path}")
            return original(self, path)

        return watch

    for call in ("read", "list"):
        monkeypatch.setattr(storage, call, watched(call))
    for shard in (0, 1, 0):
        run.sink.commit(shard, synthetic_rows(shard, (4, 3)[shard]))
    assert [one for one in looked if one.startswith("list")] == []
    assert looked.count("read _claims/1.json") == 1
    shutil.rmtree(place) if "://" not in place else open_storage(place).delete("_claims/1.json")
    with pytest.raises(UserError, match="is gone, its folder was removed"):
        run.sink.commit(1, synthetic_rows(1, 3))
