"""Data sets of every older version are read for good; those of a newer major version are refused in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.__main__ import main
from manifests.checking.validate import validate
from manifests.disk import run_record
from manifests.disk.claims import claim_path
from manifests.disk.snapshots import snapshot_path
from manifests.erasing.erase import Request, erase
from manifests.errors import UserError
from manifests.exports.huggingface import export_huggingface
from manifests.exports.torch import ReIDDataset
from manifests.format.schema import (
    QUALITY,
    SCHEMAS,
    SYNTHETIC_SCHEMA,
    VERSION_KEY,
    Kind,
    as_written,
    completed,
    same_columns,
)
from manifests.format.soft_labels import ClassMap, expand
from manifests.reading.dataset import open_dataset
from manifests.reading.erasure_log import read_log
from manifests.reading.rows import fetch_rows, index_rows
from manifests.reading.runs import runs
from manifests.storage.whole_files import open_storage
from manifests.writing.merge import merge
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, annotation_rows, name, sha, synthetic_rows
from tests.manifests.write_version_fixture import FIXTURES

ROWS: dict[Kind, int] = {"source": 4, "annotation": 2, "synthetic": 3}
WRITTEN = sorted(path.stem for path in FIXTURES.glob("version-*.zip"))
WITH_TERMS = "1.3"
"""The first version whose synthetic rows have a licence."""


@pytest.fixture(params=WRITTEN)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a data set of each kind, as the version in its name wrote them."""
    shutil.unpack_archive(FIXTURES / f"{request.param}.zip", tmp_path)
    return tmp_path


def test_the_first_version_is_among_them() -> None:
    assert WRITTEN[0] == "version-1.0"


@pytest.mark.parametrize("kind", ROWS)
def test_older_data_sets_are_read_in_full(kind: Kind, written: Path) -> None:
    dataset = open_dataset(str(written / kind))
    rows = dataset.read()
    assert (dataset.kind, dataset.snapshot.rows, rows.num_rows) == (kind, ROWS[kind], ROWS[kind])
    assert set(rows.column_names) <= set(SCHEMAS[kind].names)
    assert dataset.scan().collect().height == ROWS[kind]
    assert dataset.run["run"]["inputs"][0]["licence"] == "Apache-2.0"
    report = validate(dataset.uri)
    assert (report.faults, report.rows) == ([], ROWS[kind])


def test_older_synthetic_rows_keep_their_names_labels_and_rejects(written: Path) -> None:
    dataset = open_dataset(str(written / "synthetic"))
    rows = dataset.read()
    assert set(rows.column("sample_id").to_pylist()) == {name(f"{PLAN_ID} 0 {index}") for index in range(3)}
    assert expand(rows, 3).sum(axis=1) == pytest.approx(1.0, abs=1e-6)
    assert dataset.classes is not None
    assert dataset.classes.named == {"0002": 0, "0007": 1, "0011": 2}
    assert dataset.rejects().column("reason").to_pylist() == ["corrupt"]


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("command", ["show", "describe", "files"])
def test_commands_take_older_data_sets(command: str, kind: Kind, written: Path) -> None:
    assert main([command, str(written / kind)]) == 0
    assert validate(str(written / kind)).faults == []


TABLES = {
    "samples_meta.table": "samples_meta.parquet",
    "erasures.table": "erasures.parquet",
}
"""What versions before 1.5 called the tables beside the rows, where every opener of the folder took them for rows."""
NAMED_SO = [version for version in WRITTEN if version < "version-1.5"]
"""The versions that did."""


def tables(uri: str) -> set[str]:
    return {name for pair in TABLES.items() for name in pair if Path(uri, name).exists()}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("written", NAMED_SO, indirect=True)
def test_describe_gives_older_tables_their_new_name(kind: Kind, written: Path) -> None:
    uri = str(written / kind)
    assert tables(uri) == {"samples_meta.parquet"}
    assert main(["describe", uri]) == 0
    assert tables(uri) == {"samples_meta.table"}
    assert pl.read_parquet(f"{uri}/samples_meta.table").height == ROWS[kind]
    assert validate(uri).faults == []


def test_an_erasure_leaves_no_table_of_before(written: Path) -> None:
    uri = str(written / "synthetic")
    erase([uri], Request(frozenset({"0011"})))
    assert tables(uri) == set(TABLES)
    assert "0011" not in pl.read_parquet(f"{uri}/samples_meta.table")["identity"]


def test_the_log_of_an_earlier_erasure_is_read_under_its_name(written: Path) -> None:
    uri = str(written / "synthetic")
    erase([uri], Request(frozenset({"0011"})))
    for new, old in TABLES.items():
        Path(uri, new).rename(Path(uri, old))
    assert main(["describe", uri]) == 0  # digests of metadata go by the name
    Path(uri, "erasures.table").rename(Path(uri, "erasures.parquet"))
    assert validate(uri).faults == []
    assert [entry.rows for entry in read_log(open_storage(uri))] == [1]
    Path(uri, "erasures.parquet").write_bytes(b"PAR1")
    assert [fault.file for fault in validate(uri).faults] == ["erasures.parquet"]
    assert main(["describe", uri]) == 0
    assert tables(uri) == set(TABLES)
    assert validate(uri).faults == []


@pytest.mark.parametrize("written", NAMED_SO, indirect=True)
def test_older_rejects_keep_their_name_until_the_rows_are_written_anew(written: Path, tmp_path: Path) -> None:
    old, copy = str(written / "synthetic"), str(tmp_path / "hub")
    export_huggingface(open_dataset(old), copy)
    assert validate(copy).faults == []
    other = str(tmp_path / "other")
    run = DatasetRun.start(other, "synthetic", sha("later"), {0: 2}, footer=FOOTER)
    run.sink.commit(0, synthetic_rows(1, 2, sha("later")))
    run.close()
    union = merge([old, other], str(tmp_path / "union"))
    for dataset, suffix in ((open_dataset(copy), ".parquet"), (union, ".table")):
        assert [Path(entry.path).suffix for entry in dataset.snapshot.rejects] == [suffix]
        assert dataset.rejects().column("reason").to_pylist() == ["corrupt"]


def append(uri: str) -> None:
    """Two synthetic rows, with the columns of this version."""
    footer = {ClassMap.FOOTER_KEY: open_dataset(uri).footer[ClassMap.FOOTER_KEY]}
    run = DatasetRun.start(uri, "synthetic", sha("later"), {0: 2}, footer=footer, append=True)
    run.sink.commit(0, synthetic_rows(1, 2, sha("later")))
    run.close()


def test_annotations_are_appended_to_older_ones(written: Path) -> None:
    """Their columns have always been the same, so that any reader takes all shards for one table."""
    uri = str(written / "annotation")
    run = DatasetRun.start(uri, "annotation", sha("later"), {0: 2}, append=True)
    run.sink.commit(0, annotation_rows(2, "another"))
    run.close()
    report = validate(uri)
    assert (report.faults, report.rows) == ([], 4)
    assert pl.scan_parquet(f"{uri}/data/*.parquet").collect().height == 4


@pytest.mark.parametrize("erased", [False, True])
def test_rows_are_not_appended_where_older_shards_have_other_columns(erased: bool, written: Path) -> None:
    uri = str(written / "synthetic")
    before = files(uri)
    if same_columns("synthetic", schema_of(uri)):
        append(uri)
        assert validate(uri).faults == []
        assert pl.scan_parquet(f"{uri}/data/*.parquet").collect().height == 5
        return
    if erased:
        erase([uri], Request(frozenset({"0011"})))
        before = files(uri)
    with pytest.raises(UserError, match=r"^[^\n]* an older version \(schema 1\.[0-5], this is [^\n]* merge`$"):
        append(uri)
    assert files(uri) == before
    assert validate(uri).faults == []


def test_what_an_older_version_wrote_is_united_with_new_rows(written: Path, tmp_path: Path) -> None:
    """The way out that the refusal names: any reader opens the union."""
    old, new = str(written / "synthetic"), str(tmp_path / "new")
    run = DatasetRun.start(new, "synthetic", sha("later"), {0: 2}, footer=FOOTER)
    run.sink.commit(0, synthetic_rows(1, 2, sha("later")))
    run.close()
    union = merge([old, new], str(tmp_path / "union"))
    rows = pl.scan_parquet(f"{union.uri}/data/*.parquet").collect()
    known = 5 if schema_of(old) >= WITH_TERMS else 2
    assert (rows.height, rows["licence"].count(), rows["consent_basis"].count()) == (5, known, known)
    assert validate(union.uri).faults == []


def test_an_unfinished_run_of_an_older_version_is_not_gone_on_with(written: Path, uri: str) -> None:
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 1, 1: 2}, footer=FOOTER)
    run.sink.commit(0, synthetic_rows(0, 1))
    state = json.loads(Path(uri, "run.json").read_text())
    version = schema_of(str(written / "synthetic"))
    Path(uri, "run.json").write_text(json.dumps({**state, "schema_version": version}))
    if same_columns("synthetic", version):
        assert DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 1, 1: 2}, footer=FOOTER).pending() == [1]
        return
    with pytest.raises(UserError, match=r"^the run at [^\n]* was begun by an older version [^\n]*another folder$"):
        DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 1, 1: 2}, footer=FOOTER)


def files(uri: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(uri).rglob("*")) if path.is_file()}


def schema_of(uri: str) -> str:
    """The version that wrote the shards."""
    metadata = pq.read_schema(open_dataset(uri).files()[0]).metadata
    return bytes(metadata[VERSION_KEY]).decode()


def test_shards_of_several_versions_are_one_data_set(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older releases appended to what was older still. What they did not know is null."""
    monkeypatch.setattr(run_record, "same_columns", lambda *_: True)
    uri, known = str(written / "synthetic"), 5 if schema_of(str(written / "synthetic")) >= WITH_TERMS else 2
    append(uri)
    dataset = open_dataset(uri)
    rows = dataset.read()
    for column in ("licence", "consent_basis"):
        assert dataset.read([column, "sample_id"]).column(column).null_count == 5 - known
        fetched = fetch_rows(dataset, index_rows(dataset, ["camera", column]), [column])
        assert fetched.column(column).null_count == 5 - known
        items = ReIDDataset(uri, columns=[column])
        assert sum(items[row][column] is not None for row in range(5)) == known
    assert rows.schema.field("quality").type == QUALITY
    assert dataset.scan().collect()["quality"].to_list() == rows.column("quality").to_pylist()
    assert fetch_rows(dataset, index_rows(dataset, ["sample_id"]), ["quality"]).num_rows == 5
    assert main(["show", uri, "--where", "quality.reliability IS NULL AND licence IS NOT NULL"]) == 0
    assert validate(uri).faults == []


def test_what_was_called_reliability_is_plausibility(tmp_path: Path) -> None:
    """Before 1.5: how a label stands against one other at random. Rows and figures of then are read as that."""
    old = as_written(SYNTHETIC_SCHEMA, "1.4")
    rows = synthetic_rows(0, 3).to_pylist()
    rows = [row | {"quality": {"reliability": score}} for row, score in zip(rows, (0.25, None, 0.75), strict=True)]
    rows[1]["quality"] = None
    table = pa.Table.from_pylist(rows, schema=old)
    for some in (completed(table), completed(table.slice(1)), completed(table.select(["quality"]), ["quality"])):
        told = pl.DataFrame(some)["quality"].struct.field("plausibility").to_list()
        assert told == [0.25, None, 0.75][-some.num_rows :]
        assert pl.DataFrame(some)["quality"].struct.field("reliability").null_count() == some.num_rows
    bar = {"low": 0.0, "high": 0.5, "reliability": 0.2, "right": 0.3, "share": 1.0}
    record = {"scores": {"fid": 3.0, "reliability": 0.9, "reliability_ece": 0.1}, "calibration": {"diagram": [bar]}}
    run = DatasetRun.start(str(tmp_path / "old"), "synthetic", PLAN_ID, {0: 3}, footer=FOOTER, run=record)
    run.sink.commit(0, synthetic_rows(0, 3))
    run.close()
    [found] = runs(open_dataset(run.uri))
    assert found.scores == {"fid": 3.0, "plausibility": 0.9, "plausibility_ece": 0.1}
    assert found.diagram == ()


NEWER = r"^[^\n]*schema version 2\.3, this reader knows [^\n]*: install a newer reid-synth$"


def of_a_newer_version(dataset: Dataset, *files: str) -> None:
    """Let the data set's log say that a later package wrote it."""
    for file in files:
        path = Path(dataset.uri, file)
        value = json.loads(path.read_bytes())
        path.write_text(json.dumps({**value, "schema_version": "2.3"}))


SNAPSHOT = snapshot_path(1)


def test_a_newer_data_set_is_not_opened(dataset: Dataset) -> None:
    of_a_newer_version(dataset, SNAPSHOT)
    for door in (open_dataset, validate):
        with pytest.raises(UserError, match=NEWER):
            door(dataset.uri)


@pytest.mark.parametrize("command", ["show", "validate", "files", "describe"])
def test_every_command_refuses_a_newer_data_set(
    command: str, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    of_a_newer_version(dataset, SNAPSHOT)
    assert main([command, dataset.uri]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("file", [SNAPSHOT, "run.json"])
def test_nothing_is_appended_to_a_newer_data_set(file: str, dataset: Dataset) -> None:
    of_a_newer_version(dataset, file)
    with pytest.raises(UserError, match=NEWER):
        DatasetRun.start(dataset.uri, "synthetic", sha("later"), {0: 1}, footer=FOOTER, append=True)
    assert len(list(Path(dataset.uri, "_commits").iterdir())) == len(dataset.snapshot.files)


def test_a_worker_does_not_write_into_a_newer_run(uri: str) -> None:
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 1}, footer=FOOTER)
    path = Path(uri, claim_path(1))
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "schema_version": "2.3"}))
    with pytest.raises(UserError, match=NEWER):
        run.sink.commit(0, synthetic_rows(0, 1))
    assert not Path(uri, "data").exists()


def test_a_worker_of_a_newer_version_does_not_write_into_an_older_run(uri: str) -> None:
    """Machines of one cluster may have different releases: all shards of a run have the columns of its driver's."""
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 1}, footer=FOOTER)
    path = Path(uri, claim_path(1))
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "schema_version": "1.1"}))
    with pytest.raises(UserError, match=r"^[^\n]*is of schema 1\.1, this worker of [^\n]* on every machine$"):
        run.sink.commit(0, synthetic_rows(0, 1))
    assert not Path(uri, "data").exists()
