"""A tiny slice of `make chaos`, and that its counting would tell of what is wrong."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from manifests.reading.dataset import open_dataset
from tests.chaos import kills
from tests.chaos.__main__ import main
from tests.chaos.bench import Bench
from tests.chaos.commands import Ended, Forked, Started, timed
from tests.chaos.datasets import WHOLE, Found, compare_folders, digests, look
from tests.chaos.tally import Tally, table
from tests.chaos.writers import SHARD_ROWS, drive, expected

WRITTEN = sum(SHARD_ROWS.values()) - sum(shard % 2 for shard in SHARD_ROWS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "set"
    drive(str(folder))
    return folder


def test_two_kills_lose_nothing(whole: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path, np.random.Generator(np.random.Philox(1)), time.monotonic() + 120, scale=0.04)
    seconds = timed(tmp_path, drive, str(tmp_path / "first"))
    tally = kills.drivers(bench, seconds, open_dataset(str(whole)).digest())
    assert tally.asked == tally.times == tally.right == 2, tally.problems
    assert tally.well
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()].count("first") == 1


def test_missing_and_repeated_rows_are_counted(whole: Path, tmp_path: Path) -> None:
    names = expected()
    assert look(str(whole), names) == WHOLE
    assert len(names) == WRITTEN
    assert look(str(whole), [*names, "one more"]).lost == 1
    assert look(str(whole), names[1:]).doubled == 1
    assert look(str(whole), names, digest="another").faults == ("other bytes than those of an unbroken run",)
    copy = shutil.copytree(whole, tmp_path / "copy")
    shard = next((copy / "data").iterdir())
    shutil.copy(shard, shard.with_name("000099-" + "0" * 16 + ".parquet"))
    assert look(str(copy), names).doubled == 6 or look(str(copy), names).doubled == 5
    shutil.rmtree(copy / "data")
    assert look(str(copy), names).lost == WRITTEN


def test_files_beside_those_that_should_be_there(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    known = digests(tmp_path)
    assert compare_folders(tmp_path, known) == WHOLE
    (tmp_path / "b").write_text("changed")
    (tmp_path / "a").rename(tmp_path / "c")
    assert compare_folders(tmp_path, known)[:2] == (1, 1)
    assert len(compare_folders(tmp_path, known).faults) == 1


@pytest.mark.parametrize(
    ("ended", "trouble"),
    [
        (Ended(2, "", "error: no data set there\n"), ""),
        (Ended(143, "", "stopped; the same command takes it up again\n"), ""),
        (Ended(-9, "", ""), ""),
        (Ended(0, "done", ""), ""),
        (Ended(1, "", "Traceback (most recent call last):\n  ...\nKeyError: 1\n"), "KeyError: 1"),
        (Ended(0, "Traceback (most recent call last):\n  ...\nKeyError: 1\n", ""), "Traceback"),
        (Ended(2, "", ""), "0 messages"),
        (Ended(2, "", "error: one\nerror: two\n"), "2 messages"),
        (Ended(-11, "", ""), "SIGSEGV"),
    ],
)
def test_one_line_is_asked_of_whoever_fails(ended: Ended, trouble: str) -> None:
    assert trouble in ended.trouble
    assert bool(trouble) == bool(ended.trouble)


def test_a_fault_that_did_not_end_right_shows() -> None:
    tally = Tally("kill", 4)
    tally.add(WHOLE, [Ended(2, "", "error: late\n")])
    assert tally.well
    tally.add(Found(lost=3), again=Ended(2, "", "error: refused\n"))
    assert not tally.well
    assert tally.cells() == ("kill", "2 of 4", "1", "3", "0", "2 of 2")
    assert "refused" in tally.problems[0]
    assert table([tally]).splitlines()[-1].startswith("| kill  | 2 of 4 |")


def test_a_process_that_hangs_is_ended_and_told_of(tmp_path: Path) -> None:
    ended = Forked(tmp_path, time.sleep, 60).wait(0.2)
    assert "did not end" in ended.err
    assert ended.trouble
    child = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)', '{tmp_path}'])"
    )
    Started(tmp_path, [sys.executable, "-c", child]).wait(0.5)
    time.sleep(0.1)
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines if str(tmp_path).encode() in line and b"time.sleep(60)" in line]


def test_an_unknown_part_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "earthquakes"]) == 2
    assert capsys.readouterr().err.startswith("error: --only earthquakes: known are kills, ")
