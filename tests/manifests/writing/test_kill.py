"""SIGKILL at every step and at random moments: nothing torn, nothing twice, nothing missing."""

from __future__ import annotations

import signal
import time
from collections import Counter
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from tests.manifests.writing import kill_worker
from tests.manifests.writing.kill_worker import SHARD_ROWS, drive, rival, write_with_little_room

PLANNED = sum(SHARD_ROWS.values())
WRITTEN = PLANNED - sum(shard % 2 for shard in SHARD_ROWS)


def check_whole(uri: str) -> None:
    dataset = open_dataset(uri)
    assert (dataset.snapshot.rows, dataset.snapshot.rejected) == (WRITTEN, PLANNED - WRITTEN)
    names = Counter(dataset.read(["sample_id"]).column("sample_id").to_pylist())
    assert len(names) == WRITTEN
    assert set(names.values()) == {1}
    assert sorted(str(file) for file in Path(uri, "data").iterdir()) == dataset.files()
    assert sum(pq.read_metadata(file).num_rows for file in Path(uri, "data").iterdir()) == WRITTEN


def check_nothing_half_visible(uri: str) -> None:
    """A reader sees either no data set or the whole of it, and every file that has its final name is whole."""
    for file in Path(uri).glob("data/*.parquet"):
        pq.read_table(file)
    try:
        open_dataset(uri)
    except UserError:
        return
    check_whole(uri)


def run_until_killed(process: ForkServerProcess) -> None:
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def test_a_kill_at_any_step_is_mended_by_a_rerun(forkserver: ForkServerContext, tmp_path: Path) -> None:
    steps = forkserver.Value("i", 0)
    process = forkserver.Process(target=drive, args=(str(tmp_path / "whole"), None, steps))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    check_whole(str(tmp_path / "whole"))
    digest = open_dataset(str(tmp_path / "whole")).digest()
    assert steps.value > 20

    for step in range(steps.value):
        uri = str(tmp_path / f"killed-{step}")
        run_until_killed(forkserver.Process(target=drive, args=(uri, step)))
        check_nothing_half_visible(uri)
        drive(uri)
        check_whole(uri)
        assert open_dataset(uri).digest() == digest


def test_random_kills_of_two_rivals(forkserver: ForkServerContext, tmp_path: Path) -> None:
    random = np.random.Generator(np.random.Philox(20))
    for run in ("first", "second"):  # the server starts with the first
        undisturbed = forkserver.Process(target=rival, args=(str(tmp_path / run), 1))
        began = time.monotonic()
        undisturbed.start()
        undisturbed.join(60)
        whole = time.monotonic() - began  # how fast this machine is, now
    kills = 0
    for trial in range(10):
        uri = str(tmp_path / f"trial-{trial}")
        for attempt in range(2):
            rivals = [forkserver.Process(target=rival, args=(uri, 10 * attempt + one + 1)) for one in range(2)]
            for process in rivals:
                process.start()
            for process in rivals:
                process.join(whole * float(random.uniform(0.1, 0.6)))
                process.kill()
            for process in rivals:
                process.join(60)
                assert process.exitcode in (0, -signal.SIGKILL)
                kills += process.exitcode != 0
            check_nothing_half_visible(uri)
        rival(uri, 99)
        check_whole(uri)
    assert kills >= 6  # of 40; whoever comes last to a data set finds little left to do


def test_two_rivals_that_nobody_kills(forkserver: ForkServerContext, tmp_path: Path) -> None:
    for trial in range(3):
        uri = str(tmp_path / str(trial))
        rivals = [forkserver.Process(target=rival, args=(uri, variant)) for variant in (1, 2)]
        for process in rivals:
            process.start()
        for process in rivals:
            process.join(60)
            assert process.exitcode == 0
        check_whole(uri)


def test_a_full_disk_is_said_and_leaves_nothing(forkserver: ForkServerContext, tmp_path: Path) -> None:
    uri = str(tmp_path / "full")
    receiver, sender = forkserver.Pipe(duplex=False)
    process = forkserver.Process(target=write_with_little_room, args=(uri, 2000, sender))
    process.start()
    assert receiver.poll(60)
    message = receiver.recv()
    process.join(60)
    assert message.startswith(f"cannot write {uri}/data/000000-")
    assert message.endswith("File too large")
    assert list(Path(uri, "data").iterdir()) == []
    with pytest.raises(UserError, match="not finished"):
        open_dataset(uri)
    kill_worker.drive(uri)
    check_whole(uri)
