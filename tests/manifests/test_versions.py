"""Data sets of every older version are read for good; those of a newer major version are refused in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from manifests.__main__ import main
from manifests.errors import UserError
from manifests.log import snapshot_path
from manifests.rows import fetch_rows, index_rows
from manifests.schema import QUALITY, SCHEMAS, VERSION_KEY, Kind
from manifests.soft_labels import expand
from manifests.store import Dataset, DatasetRun, open_dataset
from manifests.validate import validate
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, name, sha, synthetic_rows
from tests.manifests.write_version_fixture import FIXTURES

ROWS: dict[Kind, int] = {"source": 4, "annotation": 2, "synthetic": 3}
WRITTEN = sorted(path.stem for path in FIXTURES.glob("version-*.zip"))


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


def test_rows_are_appended_to_an_older_data_set(written: Path) -> None:
    uri, plan = str(written / "synthetic"), sha("later")
    run = DatasetRun.start(uri, "synthetic", plan, {0: 2}, footer=FOOTER, append=True)
    run.sink.commit(0, synthetic_rows(1, 2, plan))
    run.close()
    report = validate(uri)
    assert (report.faults, report.rows) == ([], 5)


def test_shards_of_several_versions_are_one_data_set(written: Path) -> None:
    """An older version knew fewer scores: they are null there."""
    uri, plan = str(written / "synthetic"), sha("later")
    run = DatasetRun.start(uri, "synthetic", plan, {0: 2}, footer=FOOTER, append=True)
    run.sink.commit(0, synthetic_rows(1, 2, plan))
    run.close()
    dataset = open_dataset(uri)
    rows = dataset.read()
    assert rows.schema.field("quality").type == QUALITY
    assert dataset.scan().collect()["quality"].to_list() == rows.column("quality").to_pylist()
    assert fetch_rows(dataset, index_rows(dataset, ["sample_id"]), ["quality"]).num_rows == 5
    assert main(["show", uri, "--where", "quality.reliability IS NULL"]) == 0


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
    path = Path(uri, "run.json")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "schema_version": "2.3"}))
    with pytest.raises(UserError, match=NEWER):
        run.sink.commit(0, synthetic_rows(0, 1))
    assert not Path(uri, "data").exists()


def test_a_newer_shard_below_an_older_log_is_not_read(uri: str) -> None:
    """Workers of a newer package than the driver's may have written it."""
    footer = {**FOOTER, VERSION_KEY.decode(): "2.3"}
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 1}, footer=footer)
    run.sink.commit(0, synthetic_rows(0, 1))
    with pytest.raises(UserError, match=NEWER):
        run.close()
    assert not Path(uri, "_snapshots").exists()
