"""What every synthesis job does: inputs, annotations where they are needed, plan, images, contact sheet, report.

A script in ``jobs/`` says which kind it makes (`pipeline.synthesis.plan_kinds`) and joins the kind's settings to those
here; the rest is here.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from manifests.disk.snapshots import Snapshot
from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from manifests.reading.inputs import open_input
from manifests.storage.whole_files import open_storage
from manifests.writing.run import Dataset
from pipeline.annotation.annotations import AnnotationSettings, check_belonging, open_annotations
from pipeline.checkpoints import CHECKPOINTS, resolve
from pipeline.cluster.annotate import annotate
from pipeline.cluster.outcome import check_outcome
from pipeline.cluster.session import ClusterSettings, ray_session
from pipeline.cluster.synthesize import Synthesis, check_request, prepare_synthesis, synthesize
from pipeline.common.devices import check_device
from pipeline.common.settings import Advanced, Input, Needed, Output, Run
from pipeline.generators.trained_set import GeneratorSet, open_generators
from pipeline.synthesis.contact_sheets import write_picture
from pipeline.synthesis.doubts import doubts_of_images, doubts_of_inputs
from pipeline.synthesis.lineage_sending import LineageSettings
from pipeline.synthesis.plan import SynthesisSettings, select_people
from pipeline.synthesis.plan_kinds import Kind, check_kind

DEMO = Path("runs/demo")
OutputUri = Output[Annotated[str, Field(description="URI of the data set to write")]]
Sources = Callable[[Path], tuple[str, str | None]]


class SynthesisJobSettings(SynthesisSettings, ClusterSettings, LineageSettings):
    """What all synthesis jobs are told beside what they make; each adds its own."""

    source: Needed[Input[str | None]] = Field(None, description="URI of the labelled source manifest")
    generator: Needed[Input[str | None]] = Field(None, description="what train_generator.py wrote, or a shipped name")
    output: OutputUri
    shard_size: int = Field(256, ge=1, description="rows in a shard: the unit of commit and of resume; 1000 at scale")
    device: Run[str] = Field("cpu", pattern="^(cpu|cuda)$", description="where the models run")
    dry_run: Run[bool] = Field(False, description="print the plan (samples, shards, estimated size) and write nothing")


class AnnotatedJobSettings(SynthesisJobSettings):
    """The same for jobs that look at masks and poses of the source."""

    annotations: Input[str | None] = Field(
        None, description="URI of the source's annotations; by default made beside output"
    )
    segmenter: Advanced[Input[str]] = Field(
        "sam_tiny", description="Segment Anything checkpoint for images without annotation"
    )
    pose: Advanced[Input[str]] = Field(
        "pose_tiny", description="mmpose checkpoint for images without annotation, and for scores"
    )


def run_synthesis_job(
    kind: Kind, settings: SynthesisJobSettings, *, target: str | None = None, embedded: Sources | None = None
) -> None:
    """Make a data set of ``kind``, or with ``--dry-run`` say what it would be.

    ``settings`` have those of the kind too. ``target`` is the URI of the domain whose style is measured against;
    ``embedded`` makes the source and target that stand in, below a folder, where no source is named.

    Raises:
        UserError: an input is missing or does not fit the kind.
    """
    chosen = settings.part(kind.settings)
    # A wrong path or name ends here, before anything is drawn and before Ray is started.
    named, origin = _named(settings, kind, embedded)
    generators = _check(settings, chosen, kind, target, named)
    if settings.source is not None:
        _warn(doubts_of_inputs(generators, open_dataset(settings.source)))
    annotated = settings if isinstance(settings, AnnotatedJobSettings) else None

    def prepare(source: str, target: str | None, annotations: str | None) -> Synthesis:
        pose_model = annotated.pose if annotated else None
        return prepare_synthesis(
            source,
            target,
            generators.name,
            chosen,
            annotations_uri=annotations,
            pose_model=pose_model,
            device=settings.device,
        )

    if settings.dry_run:
        with tempfile.TemporaryDirectory() as scratch:
            job = prepare(*_sources(origin, target, Path(scratch)), annotated.annotations if annotated else None)
            lines = job.dry_run_lines() + _annotation_lines(annotated, chosen, kind, job)
        check_run(settings, job)
        print("\n".join(lines))
        return
    source, target = _sources(origin, target, _beside(settings.output))
    with ray_session(settings.ray_address, device=settings.device):
        job = prepare(source, target, _annotate(annotated, chosen, kind, generators, source) if annotated else None)
        dataset = synthesize(job, settings.output, where=settings, lineage=settings.lineage)
    _report(dataset, job, kind)


def _named(settings: SynthesisJobSettings, kind: Kind, embedded: Sources | None) -> tuple[str, str | Sources]:
    """The generator, and the source or what makes one that stands in; both have to be named where none is shipped."""
    origin = embedded if settings.source is None else settings.source
    if settings.generator is None or origin is None:
        recipe = kind.recipes[0]
        raise UserError(
            f"no generator of this kind is shipped: name --source and --generator; `python jobs/train_generator.py "
            f"--recipe {recipe} --source URI --output runs/{recipe}` trains one ({' or '.join(kind.recipes)})"
        )
    return settings.generator, origin


def _check(
    settings: SynthesisJobSettings, chosen: SynthesisSettings, kind: Kind, target: str | None, named: str
) -> GeneratorSet:
    """The generators, after they and the named inputs were found to be there and to fit."""
    generators = open_generators(named)
    check_kind(generators, kind)
    if target is not None:
        open_input(target, "source", flag="--target")
    if settings.source is not None:
        source = open_input(settings.source, "source", flag="--source")
        check_request(source, generators, chosen, settings.device)
        if isinstance(settings, AnnotatedJobSettings) and settings.annotations is not None:
            annotations = open_annotations(settings.annotations, flag="--annotations")
            if annotations is not None:
                check_belonging(annotations, source)
    return generators


def _warn(doubts: Iterable[str]) -> None:
    """What nobody should overlook: in the job's own words, and in a line of its own."""
    for doubt in doubts:
        print(f"warning: {doubt}", file=sys.stderr, flush=True)


def check_run(settings: SynthesisJobSettings, job: Synthesis) -> None:
    """What else a run would refuse, and a dry run says too.

    Raises:
        UserError: the device is not here, where no cluster is named; a model that is not there is to annotate; another
            plan's data set lies at the output.
    """
    if not (settings.ray_address or os.environ.get("RAY_ADDRESS")):
        check_device(settings.device)
    if isinstance(settings, AnnotatedJobSettings):
        for name in {settings.segmenter, settings.pose} - CHECKPOINTS.keys():
            resolve(name)
    there = Snapshot.newest(open_storage(settings.output))
    if there is not None and job.plan.plan_id not in there.plan_ids:
        raise UserError(f"{settings.output} holds a finished data set of another plan: choose another --output")


def _annotation_lines(
    settings: AnnotatedJobSettings | None, chosen: SynthesisSettings, kind: Kind, job: Synthesis
) -> list[str]:
    """How many of the images whose masks and poses are needed have them."""
    needed = kind.annotated(select_people(job.source, chosen), chosen, job.inputs.generators)
    if settings is None or not needed:
        return []
    known: set[str] = set()
    if settings.annotations is not None and (found := open_annotations(settings.annotations)) is not None:
        known = set(found.read(["image_sha256"]).column(0).to_pylist())
    there = sum(person.image_sha256 in known for person in needed)
    rest = "" if there == len(needed) else f", the others by {settings.segmenter} and {settings.pose}"
    return [f"annotations: of {there} of {len(needed)} images{rest}"]


def _beside(output: str) -> Path:
    """Where what stands in for a source is drawn: beside the data set, so that whoever makes it again finds it, in
    another working folder too (that of a submitted job is new each time)."""
    return DEMO if "://" in output else Path(output).parent


def _sources(origin: str | Sources, target: str | None, folder: Path) -> tuple[str, str | None]:
    """URIs of source and target; the embedded default's, drawn and ingested below ``folder``, if none are given."""
    return (origin, target) if isinstance(origin, str) else origin(folder)


def _annotate(
    settings: AnnotatedJobSettings, chosen: SynthesisSettings, kind: Kind, generators: GeneratorSet, source: str
) -> str | None:
    """Masks and poses of the source images that the plan needs: those given, completed where some are missing."""
    people = kind.annotated(select_people(open_dataset(source), chosen), chosen, generators)
    if not people:
        return settings.annotations
    models = AnnotationSettings.model_validate(
        settings.model_dump(include={"segmenter", "pose", "device", "shard_size"})
    )
    uri = settings.annotations or f"{settings.output.rstrip('/')}-annotations"
    only = frozenset(person.image_sha256 for person in people)
    return annotate(source, uri, models, where=settings, only=only, lineage=settings.lineage).uri


def _report(dataset: Dataset, job: Synthesis, kind: Kind) -> None:
    """What was made, where it lies, and how to look at it. Raises UserError where nothing was made."""
    snapshot = dataset.snapshot
    print(f"\n{snapshot.rows} images written, {snapshot.rejected} rejected of {snapshot.planned} planned")
    for reason, count in snapshot.reasons.items():
        print(f"  rejected: {reason} {count}")
    means = dataset.scan().select("quality").unnest("quality").mean().collect().to_dicts()[0]
    for name, value in means.items():
        if value is not None:
            print(f"  mean {name}: {value:.3f}")
    _warn(doubts_of_images(dataset, [one for one in (job.source, job.target) if one is not None]))
    print(f"data set: {dataset.uri}")
    if "://" not in dataset.uri and snapshot.rows:
        path = Path(f"{dataset.uri.rstrip('/')}-contact-sheet.png")
        write_picture(path, kind.sheet(dataset, job.source))
        print(f"contact sheet: {path}")
    check_outcome(dataset, "images")
    print("look at it:\n  import polars as pl")
    print(f'  rows = pl.scan_parquet("{dataset.uri}/data/*.parquet")')
    print('  print(rows.group_by("camera", "label_rule").len().sort("camera").collect())')
