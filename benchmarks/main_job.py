"""The main job against its own generator, in one run: how much of the generator's speed reaches the disk.

Runs on the embedded default's market-like domain. Same actors, same threads, same batches for both; the ratio
is between times measured inside the actors, and the wall time with Ray's start is given beside it. Also
bfloat16 against float32, and the share of each part of a shard.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field

from manifests.common.json_text import json_text
from manifests.errors import UserError
from manifests.writing.run import DatasetRun
from pipeline.annotation.annotations import AnnotationSettings
from pipeline.cluster.annotate import annotate
from pipeline.cluster.embedded_default import prepare_embedded_sources
from pipeline.cluster.pool import StageWork, run_shards
from pipeline.cluster.resources import stage_resources
from pipeline.cluster.session import ClusterSettings, ray_session
from pipeline.cluster.synthesize import Synthesis, prepare_synthesis
from pipeline.common.settings import JobSettings, run_job
from pipeline.generators.trained import load_generator
from pipeline.synthesis.plan import ShardPlan, SynthesisSettings
from pipeline.synthesis.plan_kinds import TranslationSettings
from pipeline.synthesis.worker import STAGE, SynthesisWorker


class Settings(JobSettings):
    """Images a second of the generator alone and of the whole synthesis, with the ratio."""

    generator: str = Field("ptgan_market_like_to_duke_like", description="name or path")
    folder: Path = Field(Path("runs/demo"), description="where the embedded default's inputs lie or are made")
    rows: int = Field(512, ge=64, description="images to make")
    workers: int = Field(2, ge=1, description="actors, one thread each")
    rounds: int = Field(3, ge=1, description="repetitions, in turn; the fastest of each counts")


class BareGenerator:
    """The generator on noise, and nothing else: the rate that the whole job is held against."""

    def __init__(self, generator: str, settings: SynthesisSettings, folder: Path) -> None:
        torch.set_num_threads(1)
        self.generator = load_generator(generator, "cpu", settings.precision, settings.batch_size)
        self.size = (self.generator.height, self.generator.width, 3)
        self.folder = folder
        self._translate(self.generator.batch_size)  # the first call chooses kernels

    def _translate(self, rows: int) -> None:
        self.generator.translate(np.random.default_rng(0).integers(0, 256, (rows, *self.size), dtype=np.uint8))

    def run(self, shard: int, plan: pa.Table) -> Iterator[int]:
        started = time.perf_counter()
        self._translate(plan.num_rows)
        (self.folder / f"{shard}.json").write_text(json_text(time.perf_counter() - started))
        yield plan.num_rows


def main(settings: Settings) -> None:
    market, duke = prepare_embedded_sources(settings.folder)
    where = ClusterSettings(workers=settings.workers)
    with ray_session():
        annotations = annotate(market, f"{settings.folder}/dataset-annotations", AnnotationSettings(), where=where)
        rates: dict[str, list[float]] = {"bare": [], "whole": [], "float32": []}
        shares: Counter[str] = Counter()
        for _ in range(settings.rounds):
            for name, precision in (("bare", "auto"), ("float32", "float32")):
                job = _job(settings, market, duke, annotations.uri, precision)
                rates[name].append(_bare_rate(settings, job, where))
            job = _job(settings, market, duke, annotations.uri, "auto")
            whole, seconds = _whole_rate(settings, job, where)
            rates["whole"].append(whole)
            shares.update(seconds)
    best = {name: max(values) for name, values in rates.items()}
    print(f"\ngenerator alone ({job.settings.precision}): {best['bare']:.1f} images/s on {settings.workers} actors")
    print(f"generator alone (float32): {best['float32']:.1f} images/s")
    print(f"{job.settings.precision} against float32: {best['bare'] / best['float32']:.2f} x")
    print(f"whole synthesis: {best['whole']:.1f} images/s, {best['whole'] / best['bare']:.2f} of the generator alone")
    total = sum(shares.values())
    for part, seconds_spent in shares.most_common():
        print(f"  {part}: {seconds_spent / total:.1%}")


def _job(settings: Settings, market: str, duke: str, annotations: str, precision: str) -> Synthesis:
    chosen = TranslationSettings.model_validate(
        {"limit": settings.rows, "shard_size": 128, "precision": precision, "splits": ["train", "gallery"]}
    )
    job = prepare_synthesis(market, duke, settings.generator, chosen, annotations_uri=annotations)
    if job.plan.num_rows < settings.rows:
        raise UserError(f"only {job.plan.num_rows} images are there; ask for fewer --rows")
    return job


def _bare_rate(settings: Settings, job: Synthesis, where: ClusterSettings) -> float:
    """Images a second over all actors, from the time that the actors spent in the generator."""
    with tempfile.TemporaryDirectory() as folder:
        build = partial(BareGenerator, settings.generator, job.settings, Path(folder))
        actors = run_shards(StageWork("bare", build, job.plan.shards, stage_resources(STAGE, "cpu")), where)
        seconds = sum(json.loads(path.read_text()) for path in Path(folder).glob("*.json"))
    return job.plan.num_rows * actors / seconds


def _whole_rate(settings: Settings, job: Synthesis, where: ClusterSettings) -> tuple[float, Counter[str]]:
    """Images a second over all actors, loading of the generator left out, and seconds by part."""
    folder = Path(tempfile.mkdtemp())
    try:
        run = DatasetRun.start(str(folder / "set"), "synthetic", job.plan.plan_id, job.plan.shard_rows)
        build = partial(SynthesisWorker, job.inputs, job.plan.head, job.settings, run.sink)
        started = time.perf_counter()
        work = StageWork(STAGE, build, job.plan.shards, stage_resources(STAGE, "cpu"), ShardPlan.table)
        actors = run_shards(work, where)
        wall = time.perf_counter() - started
        run.close()
        print(f"  wall with start of the actors: {job.plan.num_rows / wall:.1f} images/s")
        seconds = _seconds(folder / "set")
    finally:
        shutil.rmtree(folder)
    return job.plan.num_rows * actors / (seconds.pop("shard") - seconds.pop("load")), seconds


def _seconds(folder: Path) -> Counter[str]:
    """Seconds by part over all shards, from their commit records; parts overlap in ``shard``, which is all of it."""
    total: Counter[str] = Counter()
    for path in sorted((folder / "_commits").glob("*.json")):
        for name, value in json.loads(path.read_text())["stats"].items():
            total[name.removesuffix("_seconds")] += value
    return total


if __name__ == "__main__":
    run_job(Settings, main)
