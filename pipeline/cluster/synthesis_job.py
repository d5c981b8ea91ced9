"""What every synthesis does: inputs, annotations where they are needed, plan, images, contact sheet, report.

`pipeline.synthesize` joins the settings of each kind (`pipeline.synthesis.plan_kinds`) to those of
`pipeline.cluster.synthesis_settings`; the rest is here, for the scripts in ``jobs/`` and for Python alike.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from manifests.disk.run_record import load_run
from manifests.disk.snapshots import Snapshot
from manifests.errors import UserError
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.inputs import open_input
from manifests.storage.whole_files import open_storage
from pipeline.annotation.annotations import AnnotationSettings, check_belonging, check_free, open_annotations
from pipeline.annotation.mmpose_import import check_mmpose
from pipeline.checkpoints import CHECKPOINTS, resolve
from pipeline.cluster.annotate import annotate
from pipeline.cluster.outcome import check_outcome
from pipeline.cluster.pool import ShardRunner, lasting_actors, run_shards_here
from pipeline.cluster.session import check_device_of_job, ray_session
from pipeline.cluster.synthesis_settings import DEMO, AnnotatedJobSettings, Meanwhile, SynthesisJobSettings
from pipeline.cluster.synthesize import Synthesis, check_request, prepare_synthesis, synthesize
from pipeline.common.devices import threads_kept
from pipeline.generators.convolutions import WAYS
from pipeline.generators.trained_set import GeneratorSet, open_generators
from pipeline.synthesis.contact_sheets import write_picture
from pipeline.synthesis.doubts import doubts_of_images, doubts_of_inputs, doubts_of_size, doubts_of_target
from pipeline.synthesis.people import select_people
from pipeline.synthesis.plan import SynthesisSettings
from pipeline.synthesis.plan_kinds import Kind, check_kind


def run_synthesis_job(settings: SynthesisJobSettings) -> None:
    """Make the data set and say how to look at it, or with ``--dry-run`` say what it would be.

    Raises:
        UserError: as `make_data_set`.
    """
    if settings.dry_run:
        _tell_plan(settings)
        return
    dataset = make_data_set(settings)
    print("look at it:\n  import polars as pl")
    print(f'  rows = pl.scan_parquet("{dataset.uri}/data/*.parquet")')
    print('  print(rows.group_by("camera", "label_rule").len().sort("camera").collect())')


def make_data_set(settings: SynthesisJobSettings, *, ray: bool = True) -> Dataset:
    """The data set that ``settings`` ask for: made, taken up where it was stopped, or opened where it is complete.

    Without ``ray`` all is made in this process, a shard after the other, and is the same byte for byte.

    Raises:
        UserError: an input is missing or does not fit the kind, the output holds another plan's run, a worker keeps
            failing, or all images were rejected.
    """
    generators = _check(settings, ray)
    with ExitStack() as stack:
        engine = cache(lambda: stack.enter_context(_engine(settings, ray)))
        source, target = _sources(settings, _beside(settings.output), meanwhile=engine)
        annotations = _annotate(settings, generators, source, engine())
        job = _prepare(settings, generators, source, target, annotations)
        dataset = synthesize(job, settings.output, where=settings, lineage=settings.lineage, runner=engine())
    _report(dataset, job, settings.kind)
    return dataset


@contextmanager
def _engine(settings: SynthesisJobSettings, ray: bool) -> Iterator[ShardRunner]:
    """What computes shards: actors of a Ray, which is there meanwhile, or this process."""
    if ray:
        with ray_session(settings.ray_address, device=settings.device), lasting_actors() as runner:
            yield runner
    else:
        with threads_kept():
            yield run_shards_here


def _tell_plan(settings: SynthesisJobSettings) -> None:
    """What would be made, after all that a run would refuse was refused."""
    generators = _check(settings)
    with tempfile.TemporaryDirectory() as scratch:
        source, target = _sources(settings, Path(scratch))
        given = _named_annotations(settings)
        job = _prepare(settings, generators, source, target, given.uri if given else None, only_told=True)
        lines = job.dry_run_lines() + _annotation_lines(settings, job)
    check_run(settings, job)
    print("\n".join(lines))


def _prepare(
    settings: SynthesisJobSettings,
    generators: GeneratorSet,
    source: str,
    target: str | None,
    annotations: str | None,
    only_told: bool = False,
) -> Synthesis:
    return prepare_synthesis(
        source,
        target,
        generators.name,
        _as_begun(settings.of_kind(), settings.output),
        annotations_uri=annotations,
        pose_model=settings.pose if isinstance(settings, AnnotatedJobSettings) else None,
        device=settings.device,
        only_told=only_told,
    )


def _as_begun(settings: SynthesisSettings, output: str) -> SynthesisSettings:
    """``settings`` with the convolutions that a trial chose for what lies at ``output``, if that is not asked for
    otherwise: a rerun elsewhere, where a trial would end otherwise, goes on with them."""
    record = load_run(open_storage(output)) if settings.convolutions == "auto" else None
    chosen = (record or {}).get("run", {}).get("settings", {}).get("convolutions")
    if chosen not in WAYS:
        return settings
    return settings.model_copy(update={"convolutions": chosen})


def _check(settings: SynthesisJobSettings, ray: bool = True) -> GeneratorSet:
    """The generators, after they, the device and the named inputs were found to be there and to fit: a wrong path or
    name ends here, before anything is drawn and before Ray is started. Warns of what will do and is doubtful."""
    kind = settings.kind
    check_device_of_job(settings.device, settings.ray_address, ray)
    if settings.generator is None or (settings.source is None and settings.embedded() is None):
        recipe = kind.recipes[0]
        raise UserError(
            f"no generator of this kind is shipped: name --source and --generator; `python jobs/train_generator.py "
            f"--recipe {recipe} --source URI --output runs/{recipe}` trains one ({' or '.join(kind.recipes)})"
        )
    generators = open_generators(settings.generator)
    check_kind(generators, kind)
    _warn(doubts_of_size(generators, settings.of_kind()))
    if (target := settings.target_uri()) is not None:
        _warn(doubts_of_target(generators, open_input(target, "source", flag="--target")))
    annotations = _named_annotations(settings)
    if settings.source is not None:
        source = open_input(settings.source, "source", flag="--source")
        check_request(source, generators, settings.of_kind(), settings.device)
        if annotations is not None:
            check_belonging(annotations, source)
        _warn(doubts_of_inputs(generators, source))
    elif isinstance(settings, AnnotatedJobSettings):
        check_mmpose()  # what is drawn is always annotated
    return generators


def _warn(doubts: Iterable[str]) -> None:
    """What nobody should overlook: in the job's own words, and in a line of its own."""
    for doubt in doubts:
        print(f"warning: {doubt}", file=sys.stderr, flush=True)


def check_run(settings: SynthesisJobSettings, job: Synthesis) -> None:
    """What else a run would refuse, and a dry run says too.

    Raises:
        UserError: a model that is not there is to annotate; another plan's data set lies at the output.
    """
    if isinstance(settings, AnnotatedJobSettings):
        for name in {settings.segmenter, settings.pose} - CHECKPOINTS.keys():
            resolve(name)
    there = Snapshot.newest(open_storage(settings.output))
    if there is not None and job.plan.plan_id not in there.plan_ids:
        raise UserError(f"{settings.output} holds a finished data set of another plan: choose another --output")


def _annotation_lines(settings: SynthesisJobSettings, job: Synthesis) -> list[str]:
    """How many of the images whose masks and poses are needed have them."""
    chosen = settings.of_kind()
    needed = settings.kind.annotated(select_people(job.source, chosen.splits), chosen, job.inputs.generators)
    if not isinstance(settings, AnnotatedJobSettings) or not needed:
        return []
    known: set[str] = set()
    if (found := _named_annotations(settings)) is not None:
        known = set(found.read(["image_sha256"]).column(0).to_pylist())
    there = sum(person.image_sha256 in known for person in needed)
    rest = "" if there == len(needed) else f", the others by {settings.segmenter} and {settings.pose}"
    return [*_told_of_new(settings), f"annotations: of {there} of {len(needed)} images{rest}"]


def _named_annotations(settings: SynthesisJobSettings) -> Dataset | None:
    """What ``--annotations`` names, if there are any yet. Raises UserError where something else is there."""
    uri = settings.annotations if isinstance(settings, AnnotatedJobSettings) else None
    if uri is None:
        return None
    found = open_annotations(uri, flag="--annotations")
    if found is None:
        check_free(uri, flag="--annotations")
    return found


def _told_of_new(settings: AnnotatedJobSettings) -> list[str]:
    """That ``--annotations`` names a place where there are none: who mistyped it would wait for all to be made anew."""
    if settings.annotations is None or _named_annotations(settings) is not None:
        return []
    return [f"annotations: none at {settings.annotations} yet, they are made there"]


def _beside(output: str) -> Path:
    """Where what stands in for a source is drawn: beside the data set, so that whoever makes it again finds it, in
    another working folder too (that of a submitted job is new each time)."""
    return DEMO if "://" in output else Path(output).parent


def _sources(settings: SynthesisJobSettings, folder: Path, meanwhile: Meanwhile = None) -> tuple[str, str | None]:
    """URIs of source and target; what stands in for them is drawn and ingested below ``folder``."""
    embedded = settings.embedded()
    if settings.source is None and embedded is not None:
        return embedded(folder, meanwhile)
    return str(settings.source), settings.target_uri()


def _annotate(settings: SynthesisJobSettings, generators: GeneratorSet, source: str, runner: ShardRunner) -> str | None:
    """Masks and poses of the source images that the plan needs: those given, completed where some are missing."""
    if not isinstance(settings, AnnotatedJobSettings):
        return None
    chosen = settings.of_kind()
    people = settings.kind.annotated(select_people(open_dataset(source), chosen.splits), chosen, generators)
    if not people:
        return settings.annotations
    models = AnnotationSettings.model_validate(
        settings.model_dump(include={"segmenter", "pose", "device", "shard_size"})
    )
    for line in _told_of_new(settings):
        print(line, flush=True)
    uri = settings.annotations or f"{settings.output.rstrip('/')}-annotations"
    only = frozenset(person.image_sha256 for person in people)
    return annotate(source, uri, models, where=settings, only=only, lineage=settings.lineage, runner=runner).uri


def _report(dataset: Dataset, job: Synthesis, kind: Kind) -> None:
    """What was made, and where it lies. Raises UserError where nothing was made."""
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
