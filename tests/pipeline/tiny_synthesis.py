"""Small data sets of every kind, made in this process by the worker that clusters run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from manifests.checking.validate import validate
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset, open_dataset
from manifests.writing.run import DatasetRun
from pipeline.cluster.synthesize import Synthesis, run_record
from pipeline.synthesis.plan import SynthesisSettings
from pipeline.synthesis.plan_kinds import CameraSettings, PeopleSettings, PoseSettings, TranslationSettings
from pipeline.synthesis.worker import SynthesisWorker

CUT = {"precision": "float32", "batch_size": 4, "shard_size": 5}
Trained = Callable[[str], str]
"""Path of a tiny generator of a recipe, by the recipe's name."""


def settings_of(recipe: str, **changes: Any) -> SynthesisSettings:
    """Few samples in small batches and shards, of the kind that the recipe is for."""
    if recipe in ("gan_lsro", "cgan"):
        return PeopleSettings.model_validate({**CUT, "images": 13, **changes})
    if recipe in ("camstyle", "camstyle_multidomain"):
        return CameraSettings.model_validate({**CUT, "limit": 3, "per_image": 2, **changes})
    if recipe in ("pngan", "pix2pix"):
        asked = {"limit": 5 if recipe == "pix2pix" else 2, "score_pose": False}
        return PoseSettings.model_validate({**CUT, **asked, **changes})
    return TranslationSettings.model_validate({**CUT, "limit": 5, "per_image": 2, **changes})


def made(job: Synthesis, uri: Path, rejected: int = 0) -> Dataset:
    """Run the plan's shards in this process; so many rows are to be rejected."""
    footer = {ClassMap.FOOTER_KEY: job.plan.classes.to_json()}
    rows = job.plan.shard_rows
    run = DatasetRun.start(str(uri), "synthetic", job.plan.plan_id, rows, footer=footer, run=run_record(job))
    worker = SynthesisWorker(job.inputs, job.plan.head, job.settings, run.sink)
    for shard in run.pending():
        assert sum(worker.run(shard, job.plan.shards[shard].table())) == rows[shard]
    run.close()
    dataset = open_dataset(str(uri))
    assert validate(str(uri)).faults == []
    assert dataset.snapshot.rows == job.plan.num_rows - rejected
    return dataset


def pixels(dataset: Dataset) -> dict[str, str]:
    """Digests of the encoded images by the rows' names."""
    return dict(dataset.scan().select("sample_id", "image_sha256").collect().iter_rows())
