"""How far one driver and one folder carry: shards dealt and committed a second by 1 to 256 workers that only sleep.

python benchmarks/scale_run.py [--workers 1,4,16,64,256] [--output FILE]

Real: the plan (10 million rows, drawn names), each shard that is dealt (cut out of the plan and pickled, as for Ray),
every commit with its record, and the close of a run on a slice of the plan. Simulated: the generator, which sleeps for
as long as its rows would take; the rows, one for each shard, so that bytes cost nothing; the workers, threads of this
process: their commits share its cores, and Ray's own work is left out.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
from plan_size import planned  # type: ignore[import-not-found]  # a script finds what lies beside it
from pydantic import Field

from manifests.common.json_text import json_text, write_json
from manifests.format.schema import ANNOTATION_SCHEMA
from manifests.writing.run import DatasetRun, ShardSink
from pipeline.common.settings import JobSettings, run_job
from pipeline.synthesis.plan import SynthesisPlan


class Settings(JobSettings):
    """Shards a second and efficiency by workers, of sleeping generators on a real plan and real commits."""

    rows: int = Field(10_000_000, ge=1000, description="rows of the plan, in shards of 1000")
    workers: list[int] = Field([1, 4, 16, 64, 256], description="workers, one run each")
    rate: float = Field(1000.0, gt=0, description="images a second that a worker's generator is taken to make")
    seconds: float = Field(8.0, gt=0, description="of sleep for each worker in a run: the slice of the plan")
    folder: Path | None = Field(None, description="where runs are written for a while; a temporary folder")
    output: Path | None = Field(None, description="JSON file for the result")


def main(settings: Settings) -> None:
    plan = planned("cameras", settings.rows)
    runs: list[dict[str, Any]] = []
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{len(os.sched_getaffinity(0))} CPU cores, load {os.getloadavg()[0]:.1f} when it began",
        "settings": settings.model_dump(mode="json", exclude={"folder", "output"}),
        "runs": runs,
    }
    for workers in settings.workers:
        runs.append(measure(settings, plan, workers))
        print(json_text(runs[-1]), flush=True)
        if settings.output:
            write_json(settings.output, result, indent=1)


def measure(settings: Settings, plan: SynthesisPlan, workers: int) -> dict[str, Any]:
    """One run on the first shards of ``plan``: as many as the workers sleep through."""
    sleep = plan.shard_size / settings.rate
    shards = min(len(plan.shards), max(1, round(settings.seconds / sleep)) * workers)
    folder = tempfile.mkdtemp(dir=settings.folder)
    try:
        run = DatasetRun.start(f"{folder}/set", "annotation", plan.plan_id, dict.fromkeys(range(shards), 1))
        cpu, started = time.process_time(), time.perf_counter()
        dealt, committed = _work(plan, run.sink, shards, workers, sleep)
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        before_close = time.perf_counter()
        run.close()
        closed = time.perf_counter() - before_close
    finally:
        shutil.rmtree(folder)
    return {
        "workers": workers,
        "shards": shards,
        "shards_a_second": round(shards / wall, 1),
        "efficiency": round(shards * sleep / (workers * wall), 3),
        "cores_busy": round(cpu / wall, 2),
        "deal_ms": round(1000 * dealt / shards, 2),
        "commit_ms": round(1000 * committed / shards, 2),
        "close_seconds": round(closed, 2),
    }


def _work(plan: SynthesisPlan, sink: ShardSink, shards: int, workers: int, sleep: float) -> tuple[float, float]:
    """Seconds spent in dealing, one after another as a driver does, and in committing, over all workers."""
    driver, waiting, cut, row = Lock(), iter(range(shards)), plan.shards, one_row()

    def worker(_: int) -> tuple[float, float]:
        dealing = committing = 0.0
        while True:
            with driver:
                started = time.perf_counter()
                shard = next(waiting, None)
                if shard is None:
                    return dealing, committing
                pickle.dumps(cut[shard], protocol=5)
                dealing += time.perf_counter() - started
            time.sleep(sleep)
            started = time.perf_counter()
            sink.commit(shard, row, stats={"generate_seconds": sleep})
            committing += time.perf_counter() - started

    with ThreadPoolExecutor(workers) as threads:
        spent = list(threads.map(worker, range(workers)))
    return sum(one for one, _ in spent), sum(one for _, one in spent)


def one_row() -> pa.Table:
    """A row of the plainest kind."""
    row = {"image_id": "0" * 32, "image_sha256": "0" * 64, "width": 64, "height": 128, "mask_quality": 1.0}
    models = dict.fromkeys(("segmenter", "segmenter_sha256", "pose_model", "pose_sha256"), "0" * 64)
    return pa.Table.from_pylist([{**row, **models, "mask": b"", "keypoints": []}], schema=ANNOTATION_SCHEMA)


if __name__ == "__main__":
    run_job(Settings, main)
