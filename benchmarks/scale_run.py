"""How far one driver and one folder carry: shards dealt and committed a second by 1 to 256 workers that only sleep.

python benchmarks/scale_run.py [--workers 1,4,16,64,256] [--in-a-row 100000] [--output FILE]

Real: the plan (10 million rows, drawn names), each shard that is dealt (cut out of the plan and pickled, as for Ray),
every commit with its record, and the close of a run on a slice of the plan. Simulated: the generator, which sleeps for
as long as its rows would take; the rows, one for each shard, so that bytes cost nothing; the workers, threads of this
process: their commits share its cores, and Ray's own work is left out.

With ``--in-a-row`` instead: so many commits of one row, as synthesis writes them, one after another by one process;
then the run is taken up again, closed, opened and validated, each in a process of its own, whose memory is nobody
else's.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from manifest_speed import Settings as Drawn  # type: ignore[import-not-found]  # a script finds what lies beside it
from manifest_speed import random_rows
from plan_size import planned  # type: ignore[import-not-found]  # a script finds what lies beside it
from pydantic import Field

from manifests.checking.validate import validate
from manifests.common.json_text import json_text, write_json
from manifests.format.schema import ANNOTATION_SCHEMA, IMAGE
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import open_dataset
from manifests.writing.run import DatasetRun, ShardSink
from pipeline.common.settings import JobSettings, run_job
from pipeline.synthesis.plan import SynthesisPlan


class Settings(JobSettings):
    """Shards a second and efficiency by workers, of sleeping generators on a real plan and real commits."""

    rows: int = Field(10_000_000, ge=1000, description="rows of the plan, in shards of 1000")
    workers: list[int] = Field([1, 4, 16, 64, 256], description="workers, one run each")
    rate: float = Field(1000.0, gt=0, description="images a second that a worker's generator is taken to make")
    seconds: float = Field(8.0, gt=0, description="of sleep for each worker in a run: the slice of the plan")
    in_a_row: int | None = Field(None, ge=1, description="instead of all this: so many commits, one after another")
    folder: Path | None = Field(None, description="where runs are written for a while; a temporary folder")
    output: Path | None = Field(None, description="JSON file for the result")


def main(settings: Settings) -> None:
    runs: list[dict[str, Any]] = []
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{len(os.sched_getaffinity(0))} CPU cores, load {os.getloadavg()[0]:.1f} when it began",
        "settings": settings.model_dump(mode="json", exclude={"folder", "output"}),
        "runs": runs,
    }
    for run in _measured(settings):
        runs.append(run)
        print(json_text(run), flush=True)
        if settings.output:
            write_json(settings.output, result, indent=1)


def _measured(settings: Settings) -> Iterator[dict[str, Any]]:
    if settings.in_a_row is not None:
        yield from in_a_row(settings.in_a_row, settings.folder)
        return
    plan = planned("cameras", settings.rows)
    for workers in settings.workers:
        yield measure(settings, plan, workers)


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


PEOPLE = ClassMap(tuple(f"{number:05d}" for number in range(751)))
MARKS = (1, 1_000, 10_000, 100_000)
AVERAGED = 200
"""Commits before a mark whose mean is its figure."""


def in_a_row(shards: int, folder: Path | None) -> Iterator[dict[str, Any]]:
    """Every step of a run of so many ``shards``, and what reads it."""
    where = tempfile.mkdtemp(dir=folder)
    uri = f"{where}/set"
    try:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            yield from pool.imap(_committing, [(uri, shards)])
        steps: list[Callable[[str, int], Any]] = [_begin, _close, _open, _count, _validate]
        for step in steps:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                yield pool.apply(_alone, (step, uri, shards))
    finally:
        shutil.rmtree(where)


def _committing(job: tuple[str, int]) -> dict[str, Any]:
    """All commits, with what one costs as the first and after many; the rows are made beside the clock."""
    uri, shards = job
    cpu, wall, marks, rows = np.zeros(shards), np.zeros(shards), {}, one_synthetic_row()
    run = _begin(uri, shards)
    begun = resident()
    for shard in range(shards):
        row = rows.set_column(0, "sample_id", pa.array([f"{shard:032x}"]))
        before = time.process_time(), time.perf_counter()
        run.sink.commit(shard, row, stats={"generate_seconds": 1.0})
        cpu[shard], wall[shard] = time.process_time() - before[0], time.perf_counter() - before[1]
        if shard + 1 in (*MARKS, shards):
            last = slice(max(0, shard + 1 - AVERAGED), shard + 1)
            ms = {"cpu_ms": round(1000 * cpu[last].mean(), 2), "ms": round(1000 * wall[last].mean(), 2)}
            marks[shard + 1] = {**ms, "grown_megabytes": round((resident() - begun) / 1e6, 1)}
    return {"step": "commit", "shards": shards, "cpu_seconds": round(cpu.sum(), 1), "at": marks}


def _alone(step: Callable[[str, int], Any], uri: str, shards: int) -> dict[str, Any]:
    """What one step costs; its memory is what the process has grown by at its peak."""
    before, cpu, wall = resident(), time.process_time(), time.perf_counter()
    said = step(uri, shards)
    return {
        "step": step.__name__.strip("_"),
        "shards": shards,
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "seconds": round(time.perf_counter() - wall, 2),
        "grown_megabytes": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 1e6, 1),
        **(said if isinstance(said, dict) else {}),
    }


def _begin(uri: str, shards: int) -> DatasetRun:
    """The run, begun or taken up again."""
    footer = {ClassMap.FOOTER_KEY: PEOPLE.to_json()}
    return DatasetRun.start(uri, "synthetic", "ab" * 16, dict.fromkeys(range(shards), 1), footer=footer)


def _close(uri: str, shards: int) -> None:
    _begin(uri, shards).close()


def _open(uri: str, _: int) -> None:
    open_dataset(uri)


def _count(uri: str, _: int) -> None:
    open_dataset(uri).read(["camera"])


def _validate(uri: str, _: int) -> dict[str, Any]:
    report = validate(uri)
    return {"rows": report.rows, "faults": len(report.faults)}


def one_synthetic_row() -> pa.Table:
    """A row as synthesis writes it, of the smallest picture."""
    drawn = random_rows(np.random.default_rng(0), 1, Drawn(), PEOPLE)
    jpeg = cv2.imencode(".jpg", np.zeros((128, 64, 3), np.uint8))[1].tobytes()
    pictures = pa.array([{"bytes": jpeg, "path": "0.jpg"}], IMAGE)
    digests = pa.array([hashlib.sha256(jpeg).hexdigest()])
    for name, column in {"image": pictures, "image_sha256": digests}.items():
        drawn = drawn.set_column(drawn.schema.get_field_index(name), name, column)
    return drawn


def resident() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    run_job(Settings, main)
