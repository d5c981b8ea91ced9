"""Shards on real Ray actors: all of them, whoever dies, and one line where it cannot go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.errors import UserError
from pipeline.cluster import pool
from pipeline.cluster.pool import StageWork, lasting_actors, run_shards
from pipeline.cluster.resources import PATIENCE_SECONDS, StageResources
from pipeline.cluster.session import ClusterSettings
from pipeline.common.progress import Progress

pytestmark = pytest.mark.ray


class Scribe:
    """Writes a file for each shard; shard ``fatal`` kills its process ``deaths`` times, ``bad`` raises."""

    def __init__(self, folder: Path, fatal: int = -1, deaths: int = 0, bad: int = -1, mistake: int = -1) -> None:
        self.folder, self.fatal, self.deaths, self.bad, self.mistake = folder, fatal, deaths, bad, mistake

    def run(self, shard: int, plan: pa.Table) -> Iterator[int]:
        yield 1
        died = self.folder / f"died-{time.monotonic_ns()}"
        if shard == self.fatal and len(list(self.folder.glob("died-*"))) < self.deaths:
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / f"by-{os.getpid()}").touch()
        if shard == self.bad:
            raise ZeroDivisionError("a fault of ours")
        if shard == self.mistake:
            raise UserError("a fault of theirs")
        (self.folder / f"shard-{shard}").write_text(str(plan.num_rows))
        yield plan.num_rows - 1


def shards(count: int, rows: int = 4) -> dict[int, pa.Table]:
    return {number: pa.table({"row": list(range(rows))}) for number in range(count)}


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("shard-*"))


def run(folder: Path, count: int, workers: int | None = None, **faults: int) -> int:
    where = ClusterSettings(workers=workers)
    with Progress("test", 4 * count) as progress:
        work = StageWork("test", partial(Scribe, folder, **faults), shards(count), StageResources(cpus=1))
        return run_shards(work, where, progress)


def test_every_shard_once_and_a_worker_that_dies_costs_nothing(
    local_ray: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # More workers than fit: those that wait for a place must not keep it from the one that comes back.
    assert run(tmp_path, 5, workers=4, fatal=3, deaths=1) == 4
    assert written(tmp_path) == [f"shard-{number}" for number in range(5)]
    assert len(list(tmp_path.glob("died-*"))) == 1
    assert "test: 20/20" in "".join(capsys.readouterr())


def test_a_stage_takes_the_actor_of_the_one_before(local_ray: str, tmp_path: Path) -> None:
    """In the second stage it dies, and comes back as a worker of that one. The third needs more than it holds."""
    by = list[set[str]]()
    with lasting_actors() as run_stage:
        for stage, (cpus, deaths) in enumerate([(1.0, 0), (0.5, 1), (2.0, 0)]):
            folder = tmp_path / str(stage)
            folder.mkdir()
            build = partial(Scribe, folder, fatal=1, deaths=deaths)
            work = StageWork("test", build, shards(2), StageResources(cpus=cpus))
            assert run_stage(work, ClusterSettings(workers=1), None) == 1
            assert written(folder) == ["shard-0", "shard-1"]
            by.append({path.name for path in folder.glob("by-*")})
    assert [len(processes) for processes in by] == [1, 2, 1]
    assert by[0] < by[1]
    assert by[2].isdisjoint(by[1])


def test_a_worker_that_keeps_dying_ends_the_run_in_one_line(
    local_ray: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "RESTARTS", 1)  # each takes its seconds
    with pytest.raises(UserError, match="lost a worker, which Ray brings back 1 times") as caught:
        run(tmp_path, 2, fatal=1, deaths=100)
    assert "\n" not in str(caught.value)


def test_a_users_mistake_arrives_as_it_was_said(local_ray: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^a fault of theirs$"):
        run(tmp_path, 2, mistake=1)


def test_a_fault_of_ours_is_named_with_its_stage(
    local_ray: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="stage 'test' failed: ZeroDivisionError: a fault of ours"):
        run(tmp_path, 2, bad=0)
    assert 'raise ZeroDivisionError("a fault of ours")' in capsys.readouterr().out


def test_a_stage_that_needs_a_gpu_ends_soon(local_ray: str, tmp_path: Path) -> None:
    assert PATIENCE_SECONDS <= 25
    needs = StageResources(cpus=1, gpus=1)
    with pytest.raises(UserError, match="needs 1 CPU, 1 GPU"):
        run_shards(StageWork("test", partial(Scribe, tmp_path), shards(1), needs), ClusterSettings(wait_for_nodes=1))
