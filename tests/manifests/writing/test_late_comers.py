"""Who comes too late loses, and nobody's data with them; what is gone is made again; what is wrong is mended."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from manifests.checking.validate import validate
from manifests.disk.claims import Claim
from manifests.disk.snapshots import dump
from manifests.erasing.erase import erase
from manifests.erasing.removal import release
from manifests.erasing.traces import Request
from manifests.errors import UserError
from manifests.reading.dataset import Dataset, open_dataset
from manifests.writing.run import DatasetRun
from tests.manifests.manifest_rows import CLASSES, FOOTER, PLAN_ID, sha, synthetic_rows

OTHER = sha("another plan")
ROWS = {0: 3, 1: 2}


def start(uri: str, plan: str = PLAN_ID, **options: Any) -> DatasetRun:
    run = {"job": "made", "settings": {"seed": 7}, "inputs": [{"id": "market"}], "checkpoints": [{"sha256": sha("g")}]}
    record = {**run, "environment": {"device": "cpu"}}
    return DatasetRun.start(uri, "synthetic", plan, ROWS, footer=FOOTER, run=record, append=plan == OTHER, **options)


def write(run: DatasetRun, variant: int = 0) -> None:
    for shard in run.pending():
        run.sink.commit(shard, synthetic_rows(shard, ROWS[shard], run.sink.plan_id, variant))


def written(uri: str, plan: str = PLAN_ID) -> Dataset:
    run = start(uri, plan)
    write(run)
    run.close()
    return open_dataset(uri)


def check(uri: str, rows: int, snapshot: int) -> None:
    dataset = open_dataset(uri)
    assert (dataset.snapshot.number, dataset.read(["sample_id"]).num_rows) == (snapshot, rows)
    assert validate(uri).faults == []
    assert status(uri) == "complete"
    assert sorted(str(path) for path in Path(uri, "data").iterdir()) == sorted(dataset.files())


def status(uri: str) -> Any:
    return json.loads(Path(uri, "run.json").read_bytes())["status"]


def test_a_slow_driver_closes_after_an_append(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    slow = start(uri)
    written(uri)
    written(uri, OTHER)
    assert slow.close().number == 2
    told = capsys.readouterr().out
    assert told == f"{uri}: another run of the same plan has closed it, nothing is left to do\n"
    check(uri, 10, 2)


def test_a_slow_driver_closes_while_an_append_runs(uri: str) -> None:
    slow = start(uri)
    written(uri)
    append = start(uri, OTHER)
    write(append)
    slow.close()
    slow.fail("too late")
    assert status(uri) == "running"
    append.close()
    check(uri, 10, 2)


def test_a_finished_plan_is_started_while_an_append_runs(uri: str) -> None:
    written(uri)
    append = start(uri, OTHER)
    write(append)
    assert start(uri).finished
    append.close()
    check(uri, 10, 2)


def test_a_slow_driver_closes_after_an_erasure(uri: str) -> None:
    slow = start(uri)
    written(uri)
    erase([uri], Request(frozenset({str(CLASSES.identities[0])})))
    assert slow.close().number == 2
    check(uri, 3, 2)
    erase([uri], Request(frozenset({str(CLASSES.identities[1])})))
    check(uri, 1, 3)


def test_the_second_of_two_appends_is_told_and_comes_after_the_first(uri: str) -> None:
    written(uri)
    first = start(uri, OTHER)
    third = sha("third")
    with pytest.raises(UserError, match=r"^[^\n]*unfinished run of another plan[^\n]*$"):
        DatasetRun.start(uri, "synthetic", third, ROWS, footer=FOOTER, append=True)
    write(first)
    first.close()
    second = DatasetRun.start(uri, "synthetic", third, ROWS, footer=FOOTER, append=True)
    write(second)
    second.close()
    check(uri, 15, 3)


@pytest.mark.parametrize("wrong", ["failed", "running", "erasing"])
def test_a_rerun_mends_a_wrong_status(uri: str, wrong: str) -> None:
    dataset = written(uri)
    dataset.storage.write("run.json", dump({**dataset.run, "status": wrong, "reason": "nobody knows"}))
    assert validate(uri).faults != []
    assert start(uri).finished
    check(uri, 5, 1)


def test_a_run_that_a_rival_closed_is_not_marked_failed(uri: str) -> None:
    slow = start(uri)
    written(uri)
    slow.fail("out of memory")
    check(uri, 5, 1)


EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "status": lambda state: state.update(status="failed"),
    "kind": lambda state: state.update(kind="source"),
    "plan.plan_id": lambda state: state["plan"].update(plan_id=sha("x")),
    "plan.shard_rows.0": lambda state: state["plan"]["shard_rows"].update({"0": 4}),
    "counts.rejected": lambda state: state["counts"].update(rejected=1),
    "closed": lambda state: state.update(closed="2026-01-01T00:00:00+00:00"),
    "run.settings.seed": lambda state: state["run"]["settings"].update(seed=8),
    "run.settings": lambda state: state["run"].pop("settings"),
    "run.inputs": lambda state: state["run"]["inputs"][0].update(id="duke"),
    "run.checkpoints": lambda state: state["run"]["checkpoints"][0].update(sha256=sha("h")),
    "run.environment.device": lambda state: state["run"]["environment"].update(device="cuda"),
    "footer": lambda state: state["footer"].clear(),
    "earlier_runs": lambda state: state["earlier_runs"][0]["run"].update(job="other"),
}


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set of two runs; not to be changed."""
    uri = str(tmp_path_factory.mktemp("two") / "runs")
    written(uri)
    return written(uri, OTHER).uri


@pytest.mark.parametrize("entry", EDITS)
def test_every_edit_of_a_run_record_is_found_and_mended(two_runs: str, uri: str, entry: str) -> None:
    shutil.copytree(two_runs, uri)
    run = open_dataset(uri).run
    EDITS[entry](run)
    Path(uri, "run.json").write_bytes(dump(run))
    faults = [str(fault) for fault in validate(uri).faults]
    assert faults
    assert all(fault.startswith("log: run.json: ") for fault in faults)
    if entry == "plan.plan_id":
        assert "plan is not one of the snapshot's" in faults[0]
        return
    assert any(f"its {entry}" in fault for fault in faults), faults
    assert start(uri, OTHER).finished
    check(uri, 10, 2)


@pytest.mark.parametrize("variant", [0, 1])
def test_a_committed_file_that_is_gone_is_made_again(uri: str, variant: int) -> None:
    """Also where another machine makes other bytes of it; a second loss is nothing new."""
    run = start(uri)
    write(run)
    for number in (0, 1):
        next(Path(uri, "data").glob("000001-*")).unlink()
        again = start(uri)
        assert again.pending() == [1]
        write(again, number * variant)
    again.close()
    check(uri, 5, 1)
    record = json.loads(Path(uri, "_commits/000001.json").read_bytes())
    assert record["data"]["path"] == open_dataset(uri).snapshot.files[1].path


def test_a_file_that_is_gone_when_a_run_closes_is_made_again_by_the_next(uri: str) -> None:
    """Even where one that lost a race has its number."""
    run = start(uri)
    write(run)
    next(Path(uri, "data").glob("000001-*")).rename(Path(uri, "data/000001-0123456789abcdef.parquet"))
    with pytest.raises(UserError, match=r"first: data/000001-[0-9a-f]*\.parquet is gone; run the same command again$"):
        run.close()
    again = start(uri)
    assert again.pending() == [1]
    write(again)
    again.close()
    check(uri, 5, 1)


def test_a_file_that_is_gone_from_a_closed_set_comes_back_or_it_is_said(uri: str) -> None:
    dataset = written(uri)
    written(uri, OTHER)
    lost = Path(dataset.files()[1])
    whole = lost.read_bytes()
    lost.write_bytes(whole[:100])
    run = start(uri)
    assert (run.finished, run.pending()) == (False, [1])
    with pytest.raises(UserError, match=r"^1 files of [^\n]* are gone, first data/000001-[^\n]*$"):
        run.close()
    with pytest.raises(UserError, match=r"^a file of shard 1 is gone [^\n]* other bytes [^\n]*$"):
        write(run, variant=1)
    write(run)
    run.close()
    assert (run.finished, lost.read_bytes()) == (True, whole)
    check(uri, 10, 2)


def test_rows_that_were_erased_do_not_come_back(uri: str) -> None:
    dataset = written(uri)
    erase([uri], Request(frozenset({str(CLASSES.identities[0])})))
    Path(open_dataset(uri).files()[0]).unlink()
    with pytest.raises(UserError, match="or rows were erased"):
        write(start(uri))
    assert not Path(dataset.files()[0]).exists()


def test_a_vanished_folder_is_begun_anew(uri: str) -> None:
    run = start(uri)
    run.sink.commit(0, synthetic_rows(0, 3))
    shutil.rmtree(uri)
    for late in (lambda: run.sink.commit(1, synthetic_rows(1, 2)), run.close):
        with pytest.raises(UserError, match=r"^the run at [^\n]* is gone[^\n]*: run the same command again$"):
            late()
    run.fail("the folder is gone")
    assert not Path(uri).exists()
    written(uri)
    check(uri, 5, 1)


def test_an_interrupted_erasure_with_nothing_left_to_take_out_ends(uri: str) -> None:
    dataset = written(uri)
    Claim(2).take(dataset.storage)
    assert [fault.check for fault in validate(uri).faults] == ["erasure"]
    with pytest.raises(UserError, match=re.escape("was interrupted: run the same erase command again first")):
        start(uri, OTHER)
    release(dataset)
    check(uri, 5, 2)
    written(uri, OTHER)
    check(uri, 10, 3)
