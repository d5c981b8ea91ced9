"""Masks (Segment Anything) and poses (mmpose) of the images of a source manifest.

python jobs/annotate.py --source runs/market --output runs/market-annotations
"""

from __future__ import annotations

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field

from manifests.reading.inputs import open_input
from pipeline.annotation.annotations import AnnotationSettings
from pipeline.cluster.annotate import annotate
from pipeline.cluster.outcome import check_outcome
from pipeline.cluster.session import ClusterSettings, check_device_of_job, ray_session
from pipeline.common.settings import Input, Output, run_job
from pipeline.synthesis.lineage_sending import LineageSettings


class Settings(AnnotationSettings, ClusterSettings, LineageSettings):
    """Add masks by Segment Anything and poses by mmpose to the images of a source manifest."""

    source: Input[str] = Field(description="URI of the source manifest")
    output: Output[str] = Field(description="URI of the annotations; what they already hold is not computed again")
    limit: Input[int | None] = Field(None, ge=1, description="only the first N images")


def main(settings: Settings) -> None:
    check_device_of_job(settings.device, settings.ray_address)
    models = settings.part(AnnotationSettings)
    open_input(settings.source, "source", flag="--source")  # what is wrong with it ends here, before Ray is started
    with ray_session(settings.ray_address, device=settings.device):
        dataset = annotate(
            settings.source,
            settings.output,
            models,
            where=settings,
            limit=settings.limit,
            lineage=settings.lineage,
        )
    check_outcome(dataset, "images")
    quality = dataset.scan().select("mask_quality").mean().collect().item()
    mean = "" if quality is None else f", mean mask quality {quality:.3f}"
    print(f"annotations: {dataset.snapshot.rows} rows{mean}, in {dataset.uri}")
    for reason, count in dataset.snapshot.reasons.items():
        print(f"  rejected: {reason} {count}")


if __name__ == "__main__":
    run_job(Settings, main)
