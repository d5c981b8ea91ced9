"""Annotation on Ray: plan what is missing, run its shards on actors, close the data set."""

from __future__ import annotations

from functools import partial
from typing import Any

from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.inputs import open_input
from manifests.writing.attempt import attempt
from manifests.writing.run import DatasetRun
from manifests.writing.settling import mend
from pipeline.annotation.annotations import (
    STAGE,
    AnnotationPlan,
    AnnotationSettings,
    AnnotationWorker,
    open_annotations,
    plan_annotations,
)
from pipeline.annotation.mmpose_import import check_mmpose
from pipeline.checkpoints.cards import describe_model
from pipeline.cluster.pool import ShardRunner, StageWork, run_shards
from pipeline.cluster.resources import stage_resources
from pipeline.cluster.session import ClusterSettings
from pipeline.common.environment import environment
from pipeline.common.progress import Progress
from pipeline.synthesis.lineage_events import LineageRun
from pipeline.synthesis.lineage_sending import telling


def annotate(
    source_uri: str,
    output_uri: str,
    settings: AnnotationSettings,
    *,
    where: ClusterSettings | None = None,
    limit: int | None = None,
    only: frozenset[str] | None = None,
    record: dict[str, Any] | None = None,
    lineage: str | None = None,
    runner: ShardRunner = run_shards,
) -> Dataset:
    """Masks and poses of the images of ``source_uri``, added to ``output_uri``; needs a Ray session, unless
    ``runner`` is `run_shards_here`.

    ``limit`` takes the first images, ``only`` those with these digests; ``lineage`` is told of the run. What
    ``output_uri`` already holds for the same models is kept; an interrupted run is taken up again.

    Raises:
        UserError: a missing manifest or model, a stage that cannot be placed, a run of other settings.
    """
    check_mmpose()
    source = open_input(source_uri, "source", flag="--source")
    annotated = open_annotations(output_uri, flag="--output")
    plan = plan_annotations(source, annotated, settings, limit, only)
    if annotated is not None and not plan.images:
        print(f"annotations: all {plan.already_done} images are there already, nothing to do", flush=True)
        mend(annotated.storage, annotated.snapshot)
        return annotated
    recorded = _run_record(source, settings, plan) | (record or {})
    sizes = {shard: rows.num_rows for shard, rows in plan.shards.items()}
    run = DatasetRun.start(output_uri, "annotation", plan.plan_id, sizes, run=recorded, append=True)
    to_do = {shard: plan.shards[shard] for shard in run.pending()}
    images = sum(rows.num_rows for rows in to_do.values())
    known = f"{plan.already_done} known already, by {settings.segmenter} and {settings.pose}"
    print(f"annotations: {images} images in {len(to_do)} shards to do, {known}", flush=True)
    build = partial(AnnotationWorker, source.uri, run.sink, settings)
    work = StageWork(STAGE, build, to_do, stage_resources(STAGE, settings.device))
    told = LineageRun(STAGE, "annotation", recorded, (source,), output_uri)
    with telling(lineage, told), attempt(run, len(plan.shards)):
        with Progress(STAGE, images) as progress:
            runner(work, where, progress)
        run.close()
    return open_dataset(output_uri)


def _run_record(source: Dataset, settings: AnnotationSettings, plan: AnnotationPlan) -> dict[str, Any]:
    """What the run record says beside ids and counts."""
    models = zip(("segmenter", "pose"), (settings.segmenter, settings.pose), plan.model_sha256s, strict=True)
    return {
        "job": STAGE,
        "settings": settings.model_dump(mode="json"),
        "checkpoints": [
            describe_model(name, sha256) | {"role": role, "name": name, "recipe": None} for role, name, sha256 in models
        ],
        "inputs": [{"role": "source", "uri": source.uri, "digest": source.digest(), "rows": source.snapshot.rows}],
        "environment": environment(threads=1),
    }
