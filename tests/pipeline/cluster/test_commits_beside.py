"""A shard is committed while the next is begun: whatever goes wrong in between, by the real protocol every row is there
once when the same work is given again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Lock, Thread

import pyarrow as pa
import pytest

from manifests.checking.validate import validate
from manifests.common.stopping import Stopped
from manifests.errors import PassingError, UserError
from manifests.writing.run import DatasetRun, ShardSink
from pipeline.cluster.pool import StageWork, run_shards
from pipeline.cluster.resources import StageResources
from pipeline.cluster.session import ClusterSettings
from pipeline.common.progress import Progress
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, synthetic_rows

pytestmark = pytest.mark.ray

SHARDS, ROWS = 4, 2


class Scribe:
    """Makes rows one by one and commits them; before it commits shard 1 for the first time it waits until shard 2 has
    begun, and then meets with a fault."""

    def __init__(self, folder: Path, sink: ShardSink, fault: Callable[[], None]) -> None:
        self.folder, self.sink, self.fault = folder, sink, fault
        self.making = Lock()

    def run(self, shard: int, plan: pa.Table) -> Iterator[int]:
        assert self.making.acquire(blocking=False), "two shards are made at a time"
        (self.folder / f"begun-{shard}").touch()
        for row in range(plan.num_rows):
            time.sleep(0.01)
            if row == plan.num_rows - 1:
                self.making.release()
            yield 1
        if shard == 1 and not (self.folder / "met").exists() and there(self.folder / "begun-2"):
            (self.folder / "met").touch()
            self.fault()
        self.sink.commit(shard, synthetic_rows(shard, plan.num_rows))


def there(file: Path) -> bool:
    """Whether it comes within half a minute."""
    end = time.monotonic() + 30
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.01)
    return file.exists()


def refused() -> None:
    raise UserError("shard 1 is refused")


def away() -> None:
    raise PassingError("the store is away")


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hangs() -> None:
    time.sleep(600)


def begun(folder: Path) -> DatasetRun:
    return DatasetRun.start(f"{folder}/set", "synthetic", PLAN_ID, dict.fromkeys(range(SHARDS), ROWS), footer=FOOTER)


def go_on(folder: Path, fault: Callable[[], None] = refused) -> DatasetRun:
    """What is not done yet, by one actor."""
    run = begun(folder)
    plans = {shard: pa.table({"row": range(ROWS)}) for shard in run.pending()}
    work = StageWork("test", partial(Scribe, folder, run.sink, fault), plans, StageResources(cpus=1))
    with Progress("test", ROWS * len(plans)) as progress:
        run_shards(work, ClusterSettings(workers=1), progress)
        assert progress.done == ROWS * len(plans)
    return run


def all_is_there(folder: Path, run: DatasetRun) -> None:
    assert (folder / "met").exists()
    assert run.pending() == []
    assert run.close().rows == SHARDS * ROWS
    assert validate(run.uri).faults == []


@pytest.mark.parametrize("fault", [time.monotonic, away, killed])
def test_the_next_shard_begins_before_the_commit(local_ray: str, tmp_path: Path, fault: Callable[[], None]) -> None:
    """And what a commit survives alone it survives then: a store that was away, and the end of its process."""
    all_is_there(tmp_path, go_on(tmp_path, fault))


def test_a_commit_that_fails_is_told_as_that_of_its_shard(local_ray: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^shard 1 is refused$"):
        go_on(tmp_path)
    pending = begun(tmp_path).pending()
    assert 0 not in pending
    assert 1 in pending
    with pytest.raises(UserError, match="was never committed"):
        begun(tmp_path).close()
    all_is_there(tmp_path, go_on(tmp_path))


def test_a_stop_between_a_commit_and_the_next_shard_loses_neither(local_ray: str, tmp_path: Path) -> None:
    def stop() -> None:
        if there(tmp_path / "met"):
            os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=stop).start()
    with pytest.raises(Stopped):
        go_on(tmp_path, hangs)
    assert 1 in begun(tmp_path).pending()
    all_is_there(tmp_path, go_on(tmp_path))
