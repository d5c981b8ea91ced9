"""The images of a labelled domain A in the style of an unlabelled domain B, with A's labels.

python jobs/synthesize_duke_style.py                      # the embedded default, into runs/demo/dataset
python jobs/synthesize_duke_style.py --source runs/a --target runs/b --generator runs/ptgan --output runs/a-as-b
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pydantic import Field, model_validator

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from manifests.store import Dataset, open_dataset
from pipeline.annotations import AnnotationSettings
from pipeline.cluster.annotate import annotate
from pipeline.cluster.embedded_default import prepare_embedded_sources
from pipeline.cluster.session import ClusterSettings, ray_session
from pipeline.cluster.synthesize import Synthesis, prepare_synthesis, synthesize
from pipeline.generator import load_generator
from pipeline.inspection import translation_sheet, write_picture
from pipeline.plan import SynthesisSettings, select_people
from pipeline.settings import run_job

DEMO = Path("runs/demo")


class Settings(SynthesisSettings, ClusterSettings):
    """Make the images of a labelled source domain in the style of an unlabelled target domain, labels kept."""

    source: str | None = Field(None, description="URI of the labelled source manifest; without it, the toy world")
    target: str | None = Field(None, description="URI of the target's manifest: its style is what is measured against")
    generator: str = Field(
        "ptgan_market_like_to_duke_like", description="shipped name, or what train_generator.py wrote"
    )
    output: str = Field(str(DEMO / "dataset"), description="URI of the data set to write")
    annotations: str | None = Field(None, description="URI of the source's annotations; by default made beside output")
    segmenter: str = Field("sam_tiny", description="Segment Anything checkpoint for images without annotation")
    pose: str = Field("pose_tiny", description="mmpose checkpoint for images without annotation")
    shard_size: int = Field(256, ge=1, description="rows in a shard: the unit of commit and of resume; 1000 at scale")
    device: str = Field("cpu", pattern="^(cpu|cuda)$", description="where the models run")
    dry_run: bool = Field(False, description="print the plan (samples, shards, estimated size) and write nothing")

    @model_validator(mode="after")
    def _source_and_target(self) -> Settings:
        if self.target is not None and self.source is None:
            raise ValueError("--target without --source: name both, or neither for the embedded default")
        return self


def main(settings: Settings) -> None:
    if settings.dry_run:
        with tempfile.TemporaryDirectory() as scratch:
            print("\n".join(_prepare(settings, *_sources(settings, Path(scratch)), None).dry_run_lines()))
        return
    # A wrong path or name ends here, before anything is drawn and before Ray is started.
    load_generator(settings.generator)
    source, target = _sources(settings, DEMO)
    for uri in filter(None, (source, target)):
        open_dataset(uri)
    with ray_session(settings.ray_address):
        annotations = _annotate(settings, source)
        job = _prepare(settings, source, target, annotations.uri)
        dataset = synthesize(job, settings.output, where=settings)
    _report(dataset, job)


def _sources(settings: Settings, demo: Path) -> tuple[str, str | None]:
    """URIs of source and target; the embedded default's, drawn and ingested below ``demo``, if none are given."""
    return prepare_embedded_sources(demo) if settings.source is None else (settings.source, settings.target)


def _annotate(settings: Settings, source: str) -> Dataset:
    """Masks and poses of the source images that the plan uses: those given, completed where some are missing."""
    models = AnnotationSettings(
        segmenter=settings.segmenter, pose=settings.pose, device=settings.device, shard_size=settings.shard_size
    )
    uri = settings.annotations or f"{settings.output.rstrip('/')}-annotations"
    people = select_people(open_dataset(source), _synthesis_settings(settings))
    only = frozenset(people.column("image_sha256").to_pylist())
    return annotate(source, uri, models, where=settings, only=only)


def _synthesis_settings(settings: Settings) -> SynthesisSettings:
    return SynthesisSettings.model_validate(settings.model_dump(include=set(SynthesisSettings.model_fields)))


def _prepare(settings: Settings, source: str, target: str | None, annotations: str | None) -> Synthesis:
    synthesis = _synthesis_settings(settings)
    return prepare_synthesis(
        source, target, settings.generator, synthesis, annotations_uri=annotations, device=settings.device
    )


def _report(dataset: Dataset, job: Synthesis) -> None:
    """What was made, where it lies, and how to look at it."""
    snapshot = dataset.snapshot
    print(f"\n{snapshot.rows} images written, {snapshot.rejected} rejected of {snapshot.planned} planned")
    for reason, count in snapshot.reasons.items():
        print(f"  rejected: {reason} {count}")
    means = dataset.scan().select("quality").unnest("quality").mean().collect().to_dicts()[0]
    for name, value in means.items():
        if value is not None:
            print(f"  mean {name}: {value:.3f}")
    print(f"data set: {dataset.uri}")
    if "://" not in dataset.uri and snapshot.rows:
        sheet = Path(f"{dataset.uri.rstrip('/')}-contact-sheet.png")
        write_picture(sheet, translation_sheet(dataset, job.source))
        print(f"contact sheet (source, mask, pose, generated): {sheet}")
    print("look at it:\n  import polars as pl")
    print(f'  rows = pl.scan_parquet("{dataset.uri}/data/*.parquet")')
    print('  print(rows.group_by("camera", "label_rule").len().sort("camera").collect())')


if __name__ == "__main__":
    run_job(Settings, main)
