"""A shard whose fault passes is tried once more, whoever computes it, before the user hears of it."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pytest

from manifests.errors import PassingError, UserError
from pipeline.cluster.pool import StageWork, _Actor, _Orders, run_shards_here
from pipeline.cluster.resources import StageResources
from pipeline.common.progress import Progress

PLAN = pa.table({"row": list(range(4))})


class Worker:
    """Fails at each shard with ``error`` in its first ``times`` tries, after one row."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.times = error, times
        self.tries: list[int] = []

    def run(self, shard: int, plan: pa.Table) -> Iterator[int]:
        self.tries.append(shard)
        yield 1
        if self.tries.count(shard) <= self.times:
            raise self.error
        yield plan.num_rows - 1


def here(worker: Worker, progress: Progress | None = None) -> None:
    work = StageWork("test", lambda: worker, {0: PLAN, 1: PLAN}, StageResources(cpus=1))
    run_shards_here(work, progress=progress)


def test_a_passing_fault_is_tried_once_more(capsys: pytest.CaptureFixture[str]) -> None:
    worker = Worker(PassingError("the store is away"), times=1)
    with Progress("test", 8, stream=io.StringIO()) as progress:
        here(worker, progress)
        assert progress.done == 8
    assert worker.tries == [0, 0, 1, 1]
    assert "shard 0 is tried once more: the store is away" in capsys.readouterr().err


def test_an_actor_does_the_same() -> None:
    worker = Worker(PassingError("the store is away"), times=1)
    assert list(_Actor().run(_Orders(1, lambda: worker, lambda plan: plan), 0, PLAN)) == [1, 1, 3]


@pytest.mark.parametrize(("error", "tries"), [(PassingError("still away"), [0, 0]), (UserError("not yours"), [0])])
def test_what_stays_is_the_users(error: Exception, tries: list[int]) -> None:
    worker = Worker(error, times=9)
    with pytest.raises(UserError, match=str(error)):
        here(worker)
    assert worker.tries == tries
