from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from manifests.__main__ import main
from manifests.checking.validate import validate
from manifests.disk.claims import Claim
from manifests.errors import UserError
from manifests.reading.dataset import Dataset, open_dataset
from manifests.storage.whole_files import open_storage
from manifests.writing.gc import KEPT_SNAPSHOTS, collect_garbage
from manifests.writing.run import DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, sha, synthetic_rows

LOST = "data/000001-0123456789abcdef.parquet"
TORN = "data/.000001-0123456789abcdef.parquet.1f.tmp"


def files(uri: str) -> set[str]:
    return {entry.path for entry in open_storage(uri).list()}


def make_older(uri: str, hours: float) -> None:
    then = time.time() - hours * 3600
    for path in Path(uri).rglob("*"):
        os.utime(path, (then, then))


def lose(uri: str) -> None:
    storage = open_storage(uri)
    for path in (LOST, TORN, ".README.md.77.tmp", "rejects/000009-0123456789abcdef.table"):
        storage.write(path, b"lost")


def test_what_nothing_refers_to_goes(dataset: Dataset) -> None:
    before = files(dataset.uri)
    lose(dataset.uri)
    assert {fault.check for fault in validate(dataset.uri).faults} == {"extra"}
    found = collect_garbage(dataset.uri, older_than_hours=0)
    assert {one.path for one in found} >= {LOST, TORN}
    assert len(found) == 4
    assert files(dataset.uri) == before
    assert validate(dataset.uri).faults == []
    assert collect_garbage(dataset.uri, older_than_hours=0) == []


def test_in_an_object_store(tmp_path: Path) -> None:
    uri = f"memory://gc-{tmp_path.name}/made"
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 3}, footer=FOOTER)
    run.sink.commit(0, synthetic_rows(0, 3))
    run.close()
    open_storage(uri).write(LOST, b"lost")
    assert collect_garbage(uri) == []
    assert [one.path for one in collect_garbage(uri, older_than_hours=0)] == [LOST]
    assert validate(uri).faults == []


def test_young_files_stay(dataset: Dataset) -> None:
    make_older(dataset.uri, 30)
    lose(dataset.uri)
    assert collect_garbage(dataset.uri) == []
    make_older(dataset.uri, 23)
    assert collect_garbage(dataset.uri) == []
    make_older(dataset.uri, 25)
    assert len(collect_garbage(dataset.uri)) == 4


def test_a_dry_run_deletes_nothing(dataset: Dataset) -> None:
    lose(dataset.uri)
    before = files(dataset.uri)
    assert len(collect_garbage(dataset.uri, older_than_hours=0, dry_run=True)) == 4
    assert files(dataset.uri) == before


@pytest.mark.parametrize("append", [False, True])
def test_an_unfinished_run_keeps_what_it_committed(dataset: Dataset, tmp_path: Path, append: bool) -> None:
    uri = dataset.uri if append else str(tmp_path / "first")
    plan = sha("another plan")
    run = DatasetRun.start(uri, "synthetic", plan, {0: 3, 1: 2}, footer=FOOTER, append=True)
    record = run.sink.commit(0, synthetic_rows(0, 3, plan))
    lost = open_storage(uri)
    lost.write(LOST, b"of a worker that was killed")
    assert [one.path for one in collect_garbage(uri, older_than_hours=0)] == [LOST]
    assert {record.path, record.data.path} <= files(uri)
    again = DatasetRun.start(uri, "synthetic", plan, {0: 3, 1: 2}, footer=FOOTER, append=True)
    assert again.pending() == [1]
    again.sink.commit(1, synthetic_rows(1, 2, plan))
    again.close()
    assert validate(uri).faults == []


def test_the_newest_snapshots_stay(dataset: Dataset) -> None:
    for number in range(KEPT_SNAPSHOTS + 1):
        plan = sha(f"plan {number}")
        run = DatasetRun.start(dataset.uri, "synthetic", plan, {0: 1}, footer=FOOTER, append=True)
        run.sink.commit(0, synthetic_rows(0, 1, plan))
        run.close()
    found = collect_garbage(dataset.uri, older_than_hours=0)
    superseded = ["_claims/1.json", "_claims/2.json", "_snapshots/1.json", "_snapshots/2.json"]
    assert [one.path for one in found] == superseded
    assert open_dataset(dataset.uri).snapshot.number == KEPT_SNAPSHOTS + 2
    assert validate(dataset.uri).faults == []


def test_what_it_cannot_judge_it_leaves(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data set at"):
        collect_garbage(str(tmp_path / "nothing"))
    record = Path(dataset.uri, "_commits/000000.json")
    record.write_text("{")
    before = files(dataset.uri)
    with pytest.raises(UserError, match=r"_commits/000000\.json is not JSON"):
        collect_garbage(dataset.uri, older_than_hours=0)
    Claim(2).take(dataset.storage)
    before.add("_claims/2.json")
    with pytest.raises(UserError, match=r"an erasure of .* was interrupted"):
        collect_garbage(dataset.uri, older_than_hours=0)
    assert files(dataset.uri) == before


def test_the_command(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    lose(dataset.uri)
    assert main(["gc", dataset.uri, "--older-than", "0", "--dry-run"]) == 0
    assert "4 files, 0.0 MB would be deleted" in capsys.readouterr().out
    assert main(["gc", dataset.uri, "--older-than", "0", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) == 4
    assert main(["gc", dataset.uri]) == 0
    assert "0 files" in capsys.readouterr().out
    for wrong in ("-1", "nan", "soon"):
        assert main(["gc", dataset.uri, "--older-than", wrong]) == 2


def test_nothing_goes_while_what_stays_is_damaged(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    lose(dataset.uri)
    path = Path(dataset.files()[0])
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    before = files(dataset.uri)
    assert main(["gc", dataset.uri, "--older-than", "0"]) == 2
    assert f"error: {path} has changed: its SHA-256 is not the snapshot's; put back a copy" in capsys.readouterr().err
    assert files(dataset.uri) == before
