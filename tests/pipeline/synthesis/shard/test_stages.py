"""Stages run at the same time, hand on in order, and stop where one of them fails."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from manifests.reading.dataset import open_dataset
from manifests.writing.run import DatasetRun
from pipeline.cluster.synthesize import prepare_synthesis
from pipeline.common.devices import threads_kept
from pipeline.synthesis.shard.stages import ahead, one_behind, stage_threads
from pipeline.synthesis.worker import SynthesisWorker
from tests.conftest import ToySources
from tests.pipeline.tiny_synthesis import Trained, settings_of


def test_results_come_in_order_whichever_is_ready_first() -> None:
    def slower_at_first(item: int) -> int:
        time.sleep(0.02 if item % 3 == 0 else 0.0)
        return item * item

    with stage_threads(3) as threads:
        assert list(ahead(threads, slower_at_first, range(10), 4)) == [item * item for item in range(10)]


def test_stages_run_at_the_same_time() -> None:
    """Each step of the first waits for one of the last: one after the other they would never end."""
    both = threading.Barrier(2, timeout=5)

    def meet(item: int) -> int:
        if item:
            both.wait()
        return item

    with stage_threads(2) as threads:
        first = ahead(threads, lambda item: meet(item), range(5), 1)
        last = ahead(threads, lambda item: meet(item + 1) - 1 if item < 4 else item, first, 1)
        assert list(last) == list(range(5))


def test_a_failure_comes_at_its_turn_and_ends_what_has_not_begun() -> None:
    done: list[int] = []

    def fail_at_two(item: int) -> int:
        time.sleep(0.01)
        if item == 2:
            raise ValueError("two")
        done.append(item)
        return item

    came: list[int] = []
    with pytest.raises(ValueError, match="two"), stage_threads(1) as threads:
        came.extend(ahead(threads, fail_at_two, range(100), 50))
    assert came == [0, 1]
    assert len(done) < 10


def test_one_behind_hands_on_each_once_the_next_is_there() -> None:
    asked: list[int] = []
    behind = one_behind(asked.append(item) or item for item in range(3))
    assert [next(behind), asked] == [0, [0, 1]]
    assert [*behind, asked] == [1, 2, [0, 1, 2]]
    assert list(one_behind([])) == []


def test_bytes_depend_on_neither_threads_nor_timing(
    toy_sources: ToySources, toy_annotations: str, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of("camstyle_multidomain", shard_size=9, reject_below=["style_shift < 0"])
    generator = trained("camstyle_multidomain")
    job = prepare_synthesis(toy_sources.market, None, generator, settings, annotations_uri=toy_annotations)
    shards, pace = job.plan.shards, random.Random(0)
    made = {}
    for threads in (1, 4):
        if threads > 1:  # and each stage takes as long as it likes
            for stage in ("_fetch", "_prepare", "_take", "_finish"):
                monkeypatch.setattr(SynthesisWorker, stage, _dawdling(getattr(SynthesisWorker, stage), pace))
        run = DatasetRun.start(str(tmp_path / str(threads)), "synthetic", job.plan.plan_id, job.plan.shard_rows)
        with threads_kept():
            worker = SynthesisWorker(replace(job.inputs, threads=threads), job.plan.head, job.settings, run.sink)
            for shard, part in shards.items():
                told = list(worker.run(shard, part.table()))
                assert (sum(told), max(told)) == (part.num_rows, min(settings.batch_size, part.num_rows))
        run.close()
        snapshot = open_dataset(str(tmp_path / str(threads))).snapshot
        made[threads] = [entry.sha256 for entry in (*snapshot.files, *snapshot.rejects)]
    assert made[1] == made[4]
    assert len(made[1]) > len(shards), "some rows were rejected"


def _dawdling(stage: Callable[..., Any], pace: random.Random) -> Callable[..., Any]:
    def dawdle(self: SynthesisWorker, *given: object) -> Any:
        time.sleep(pace.random() * 0.01)
        return stage(self, *given)

    return dawdle
