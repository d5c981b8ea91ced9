"""What manifests cost: dense labels against filling an array of their size, and a scan that leaves pictures alone.

python benchmarks/manifest_speed.py [--rows 100000] [--rounds 7]

Labels: `expand` for each rule against `numpy.full` of the same shape. Scan: rows by camera of a data set with pictures
against the same query on the same rows without that column, with the files in the page cache and thrown out of it; and
in `samples_meta.table`, which is there for this.
Each ratio is between the fastest of its rounds, which alternate. Needs rows x image-bytes of disk, freed at the end.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from manifests.common.json_text import json_text
from manifests.describing.card import SAMPLES_META
from manifests.disk import parquet
from manifests.format import soft_labels
from manifests.format.schema import SYNTHETIC_SCHEMA
from manifests.format.soft_labels import ClassMap, LabelColumns, expand
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset, DatasetRun
from pipeline.common.settings import JobSettings, run_job

Seconds = dict[str, float]


class Settings(JobSettings):
    """Ratios of the time that labels and scans take to the least that they could take."""

    rows: int = Field(100_000, ge=1000, description="rows")
    classes: int = Field(751, ge=2, description="classes of the labels (751: Market-1501)")
    image_bytes: int = Field(18_000, ge=1, description="bytes of each picture, drawn at random")
    shard_rows: int = Field(5000, ge=1, description="rows in a file")
    rounds: int = Field(7, ge=1, description="repetitions, in turn; the fastest of each counts")
    folder: Path | None = Field(None, description="where the data set is written for a while; a temporary folder")
    output: Path | None = Field(None, description="JSON file for the result")


def main(settings: Settings) -> None:
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{len(os.sched_getaffinity(0))} CPU cores, load {os.getloadavg()[0]:.1f} when it began",
        "settings": settings.model_dump(mode="json", exclude={"folder", "output"}),
        "labels": measure_labels(settings),
        "scan": measure_scans(settings),
    }
    text = json_text(result, indent=1)
    print(text)
    if settings.output:
        settings.output.write_text(text + "\n", encoding="utf-8")


def measure_labels(settings: Settings) -> dict[str, Any]:
    """Seconds for each rule, and as multiples of filling ``(rows, classes)`` float32."""
    rows, classes = settings.rows, settings.classes
    jobs: dict[str, Callable[[], object]] = {"fill": lambda: np.full((rows, classes), 0.5, np.float32)}
    for rule, columns in labels(rows, classes).items():
        jobs[rule] = lambda columns=columns: expand(columns)  # type: ignore[misc]
    # All of it is one thread's work: its CPU time does not depend on who else is at work here.
    seconds = fastest(jobs, settings.rounds, clock=time.process_time)
    ratio = {rule: round(spent / seconds["fill"], 2) for rule, spent in seconds.items()}
    return {"cpu_seconds": rounded(seconds), "ratio": ratio}


def labels(rows: int, classes: int) -> dict[str, LabelColumns]:
    """Compact labels by each rule; a teacher's are of a few hundred rows, over and over."""
    rng = np.random.default_rng(0)
    people, few = rng.integers(0, classes, rows), min(rows, 500)
    probabilities = rng.random((few, classes)) ** 8
    repeated = pa.array(np.arange(rows) % few)
    by_teacher = {
        "teacher, top 10": soft_labels.teacher(probabilities, 10),
        "mprl, top 10": soft_labels.mprl(probabilities, 10),
        "mprl, all classes": soft_labels.mprl(probabilities),
    }
    return {
        "one_hot": soft_labels.one_hot(people, classes),
        "lsr": soft_labels.lsr(people, classes),
        "lsro": soft_labels.lsro(rows, classes),
        **{rule: {name: part.take(repeated) for name, part in one.items()} for rule, one in by_teacher.items()},
    }


def measure_scans(settings: Settings) -> dict[str, Any]:
    """Seconds for counting rows by camera: in the shards, in the table of rows without pictures that lies beside them,
    and in shards that never had any."""
    with tempfile.TemporaryDirectory(dir=settings.folder) as folder:
        dataset = write_dataset(settings, f"{folder}/set")
        files = {
            "with pictures": dataset.files(),
            "samples_meta": [dataset.storage.locate(SAMPLES_META)],
            "without": write_without_pictures(dataset.files(), Path(folder, "bare")),
        }
        sizes = {name: sum(Path(file).stat().st_size for file in some) for name, some in files.items()}
        jobs = {name: lambda some=some: count_by_camera(some) for name, some in files.items()}
        warm = fastest(jobs, settings.rounds)
        cold = fastest(jobs, settings.rounds, before=lambda name: forget(files[name]))
    found = {"in the page cache": warm, "from disk": cold}
    return {
        "megabytes": {name: round(size / 1e6, 1) for name, size in sizes.items()},
        "seconds": {place: rounded(seconds) for place, seconds in found.items()},
        "ratio": {
            place: {name: round(seconds[name] / seconds["without"], 2) for name in files if name != "without"}
            for place, seconds in found.items()
        },
    }


def write_dataset(settings: Settings, uri: str) -> Dataset:
    """A closed synthetic data set of random pictures."""
    people = ClassMap(tuple(f"{number:05d}" for number in range(settings.classes)))
    starts = range(0, settings.rows, settings.shard_rows)
    planned = {shard: min(settings.shard_rows, settings.rows - start) for shard, start in enumerate(starts)}
    run = DatasetRun.start(uri, "synthetic", "ab" * 16, planned, footer={ClassMap.FOOTER_KEY: people.to_json()})
    for shard, rows in planned.items():
        run.sink.commit(shard, random_rows(np.random.default_rng(shard), rows, settings, people))
    run.close()
    return open_dataset(uri)


def random_rows(rng: np.random.Generator, rows: int, settings: Settings, people: ClassMap) -> pa.Table:
    """Rows of the synthetic schema as a job would write them, but for what they show."""
    numbers = np.sort(rng.integers(0, settings.classes, rows))
    names = [rng.bytes(16).hex() for _ in range(rows)]
    digests = [rng.bytes(32).hex() for _ in range(rows)]
    pictures = [{"bytes": rng.bytes(settings.image_bytes), "path": f"{name}.jpg"} for name in names]
    columns: dict[str, Any] = {
        "sample_id": names,
        "image": pictures,
        "image_sha256": digests,
        "pixel_sha256": digests[::-1],
        "identity": [people.identities[number] for number in numbers],
        "camera": rng.integers(1, 7, rows),
        "subject_keys": [[digest[:32]] for digest in digests],
        "sources": [[{"sha256": digest, "role": "content", "dataset_id": "random"}] for digest in digests],
        "seed": rng.integers(0, 1 << 62, rows),
        "quality": [{"style_shift": value} for value in rng.random(rows)],
    }
    constant = {
        **{"width": 64, "height": 128, "split": "train", "domain": "random", "draw": 0, "target": {"domain": "random"}},
        **{"recipe": "ptgan", "recipe_version": "1.0", "settings_sha256": digests[0], "plan_id": "ab" * 16},
        **{"checkpoint_sha256s": [digests[0]], "digital_source_type": "trainedAlgorithmicMedia"},
        **{"mask": None, "keypoints": None, "licence": "CC0-1.0", "consent_basis": "shows nobody"},
    }
    columns |= {name: [value] * rows for name, value in constant.items()}
    columns |= soft_labels.lsr(numbers, settings.classes)
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in SYNTHETIC_SCHEMA})


def write_without_pictures(files: list[str], folder: Path) -> list[str]:
    """The same rows once more without the image column, cut and written alike; the new files."""
    folder.mkdir()
    bare = []
    for file in files:
        table = pq.read_table(file, columns=[name for name in SYNTHETIC_SCHEMA.names if name != "image"])
        path = folder / Path(file).name
        path.write_bytes(parquet.encode(table))
        bare.append(str(path))
    return bare


def count_by_camera(files: list[str]) -> pl.DataFrame:
    return pl.scan_parquet(files).group_by("camera").len().sort("camera").collect()


def forget(files: list[str]) -> None:
    """Throw the files out of the page cache."""
    for file in files:
        handle = os.open(file, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def fastest(
    jobs: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    before: Callable[[str], None] = lambda name: None,
) -> Seconds:
    """Seconds by ``clock`` of the fastest round of each job; the jobs take turns."""
    best: Seconds = {}
    for _ in range(rounds):
        for name, job in jobs.items():
            before(name)
            started = clock()
            made = job()
            spent = clock() - started
            del made
            best[name] = min(spent, best.get(name, spent))
    return best


def rounded(seconds: Seconds) -> Seconds:
    return {name: round(value, 4) for name, value in seconds.items()}


if __name__ == "__main__":
    run_job(Settings, main)
