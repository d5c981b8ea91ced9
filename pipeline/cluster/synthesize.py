"""Synthesis on Ray: plan, shards on actors, commit, close."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.schema import SOURCE_TYPE_KEY, source_type_uri
from manifests.format.soft_labels import ClassMap
from manifests.format.terms import Terms, combined, of_model
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.inputs import open_input
from manifests.writing.attempt import attempt
from manifests.writing.run import DatasetRun
from pipeline.annotation.annotated_images import AnnotatedImages
from pipeline.annotation.annotations import check_belonging
from pipeline.checkpoints import file_sha256, resolve
from pipeline.checkpoints.cards import absolute, describe_model
from pipeline.cluster.pool import ShardRunner, StageWork, run_shards
from pipeline.cluster.resources import stage_resources
from pipeline.cluster.session import ClusterSettings
from pipeline.common.environment import environment
from pipeline.common.images import encode, resize
from pipeline.common.precision import resolve_precision
from pipeline.common.progress import Progress
from pipeline.generators.convolutions import Convolutions
from pipeline.generators.convolutions_trial import ConvolutionsTrial
from pipeline.generators.networks.unet import sides_divide_by
from pipeline.generators.recipes.pix2pix import Pix2Pix
from pipeline.generators.trained_set import GeneratorSet, open_generators
from pipeline.synthesis.labelling import check_label_rule
from pipeline.synthesis.lineage_events import LineageRun
from pipeline.synthesis.lineage_sending import telling
from pipeline.synthesis.people import People, select_people
from pipeline.synthesis.plan import GENERATION, ShardPlan, SynthesisPlan, SynthesisSettings, expected_bytes, make_plan
from pipeline.synthesis.plan_kinds import (
    CAMERAS,
    PEOPLE,
    TRANSLATION,
    Kind,
    PlanInputs,
    PoseSettings,
    TranslationSettings,
    check_kind,
    kind_of,
    moves_people,
    pastes,
)
from pipeline.synthesis.recorded_inputs import described
from pipeline.synthesis.row_inputs import check_draws
from pipeline.synthesis.target_styles import look_asked_for, measure_styles, spread_images
from pipeline.synthesis.worker import STAGE, SynthesisInputs, SynthesisWorker

TRIAL_IMAGES = 4
SIZE_IMAGES = 32


@dataclass(frozen=True)
class Synthesis:
    """A plan with all that its workers need; ``settings`` are resolved."""

    source: Dataset
    target: Dataset | None
    settings: SynthesisSettings
    inputs: SynthesisInputs
    plan: SynthesisPlan
    teacher_sha256: str | None = None

    def dry_run_lines(self) -> list[str]:
        """What would be made: samples, shards, estimated size."""
        plan = self.plan
        size, images = expected_bytes(self._sample_sizes(), plan.num_rows), plan.images()
        untried = "plan: its id is known when a trial has chosen how convolutions are computed (--convolutions)"
        return [
            untried if self.settings.convolutions == "auto" else f"plan {plan.plan_id}",
            f"samples: {plan.num_rows} ({f'from {images} source images' if images else 'from noise alone'}, "
            f"labels by {self.settings.label_rule} over {len(plan.classes)} identities)",
            f"shards: {len(plan.shards)} of up to {plan.shard_size} rows, by {len(plan.by_generator)} generator(s)",
            f"estimated size: {size / 2**20:.1f} MiB",
        ]

    def _sample_sizes(self) -> np.ndarray:
        """Encoded sizes in bytes of a few sources at the output's size: a generated image weighs about the same."""
        size = self.settings.size(self.inputs.generators)
        images = [resize(image, *size) for image in spread_images(self.source, SIZE_IMAGES)]
        sizes = [len(encode(image, self.settings.image_format, self.settings.quality)) for image in images]
        return np.array(sizes or [0])


def prepare_synthesis(
    source_uri: str,
    target_uri: str | None,
    generator: str,
    settings: SynthesisSettings,
    *,
    annotations_uri: str | None,
    pose_model: str | None = None,
    device: str = "cpu",
    only_told: bool = False,
) -> Synthesis:
    """Open the inputs and compute the plan; writes nothing. The class of ``settings`` says what kind it is.

    ``only_told``: a dry run. Masks and poses will be known when the plan is made; what a trial would have to find out
    stays ``auto``.

    Raises:
        UserError: an input is missing, of the wrong kind, or not what the plan needs.
    """
    source, generators = open_input(source_uri, "source", flag="--source"), open_generators(generator)
    target = open_input(target_uri, "source", flag="--target") if target_uri else None
    annotations = open_input(annotations_uri, "annotation", flag="--annotations") if annotations_uri else None
    if annotations is not None:
        check_belonging(annotations, source)
    request = check_request(source, generators, settings, device)
    settings = request.settings
    inputs = _inputs(source, target, annotations, generators, settings, pose_model, device)
    decisive: dict[str, str | None] = {name: dataset.digest() for name, dataset in _named(source, target, annotations)}
    decisive |= {"domain": inputs.domain, "teacher": request.teacher_sha256}
    decisive |= {"pose_model": file_sha256(resolve(inputs.pose_model))} if inputs.pose_model else {}
    if annotations is None and not only_told:
        _check_nothing_is_read(settings, generators)
    annotated = _read_by_plan(annotations, settings, generators)
    samples = kind_of(settings).samples(PlanInputs(source.uri, request.people, generators, annotated), settings)
    settings = _with_convolutions(settings, generators, samples.count, inputs, source, only_told)
    terms = _terms(generators, settings, target, request.teacher_sha256)
    plan = make_plan(samples, settings, generators, request.classes, decisive, terms)
    if not plan.num_rows:
        raise UserError(f"nothing of {source.uri} is left to make with these settings")
    return Synthesis(source, target, settings, inputs, plan, request.teacher_sha256)


def _inputs(
    source: Dataset,
    target: Dataset | None,
    annotations: Dataset | None,
    generators: GeneratorSet,
    settings: SynthesisSettings,
    pose_model: str | None,
    device: str,
) -> SynthesisInputs:
    """What workers are told; ``settings`` are resolved. ``pose_model`` is used where poses are asked for and scored."""
    kind = kind_of(settings)
    domain = look_asked_for(source, target, generators if kind is TRANSLATION else None)
    return SynthesisInputs(
        source_uri=source.uri,
        annotations_uri=annotations.uri if annotations else None,
        generators=generators,
        domain=domain,
        target_domain=domain if kind is TRANSLATION else None,
        styles=measure_styles(source, target, settings.size(generators), by_camera=kind is CAMERAS),
        pose_model=pose_model if isinstance(settings, PoseSettings) and settings.score_pose else None,
        device=device,
        threads=int(stage_resources(STAGE, device).cpus),
    )


def _check_nothing_is_read(settings: SynthesisSettings, generators: GeneratorSet) -> None:
    """Raises UserError where the generators read masks or poses of the very images that they change."""
    if pastes(settings, generators):
        raise UserError(f"{generators.name} puts people before other backgrounds: name their masks with --annotations")
    if moves_people(settings, generators):
        raise UserError(f"{generators.name} moves people joint by joint: name their poses with --annotations")


def _read_by_plan(
    annotations: Dataset | None, settings: SynthesisSettings, generators: GeneratorSet
) -> AnnotatedImages | None:
    """Whose masks and poses are known, where samples are chosen by that."""
    read = isinstance(settings, PoseSettings) or pastes(settings, generators)
    return AnnotatedImages(annotations) if annotations and read else None


class Request(NamedTuple):
    """What is asked for, after it was found to make sense."""

    settings: SynthesisSettings
    """With size, precision and label rule said."""
    people: People
    classes: ClassMap
    """Over all of them, whatever part of them the plan uses."""
    teacher_sha256: str | None


def check_request(
    source: Dataset, generators: GeneratorSet, settings: SynthesisSettings, device: str = "cpu"
) -> Request:
    """Whether ``generators`` can make this of ``source``, as far as can be told without masks and poses; cheap.

    Raises:
        UserError: a generator of another kind, a label rule or a camera that cannot be, nobody to start from.
    """
    kind = kind_of(settings)
    check_kind(generators, kind)
    if settings.background is not None and not isinstance(settings, TranslationSettings):
        raise UserError("--background is for images of another camera or place: leave it out")
    settings = _resolved(settings, generators, kind, device)
    if isinstance(settings, TranslationSettings):
        check_draws(settings.per_image, settings.size(generators))
    people = select_people(source, settings.splits)
    classes = ClassMap.of(people.identities)
    teacher_sha256 = check_label_rule(settings, kind is not PEOPLE, classes)
    if kind is CAMERAS:
        kind.samples(PlanInputs(source.uri, people, generators), settings)
    return Request(settings, people, classes, teacher_sha256)


def _named(source: Dataset, target: Dataset | None, annotations: Dataset | None) -> list[tuple[str, Dataset]]:
    named = (("source", source), ("target", target), ("annotations", annotations))
    return [(name, dataset) for name, dataset in named if dataset is not None]


def _resolved(settings: SynthesisSettings, generators: GeneratorSet, kind: Kind, device: str) -> SynthesisSettings:
    """``settings`` with size, precision and label rule said; the driver may stand on a node without the device."""
    dtype = resolve_precision(settings.precision, "cpu")
    trained = generators.height, generators.width
    asked = settings.size(generators)
    recipe = generators.recipe.asked(settings.generation)
    if "source" not in recipe.inputs and "noise" in recipe.inputs and asked != trained:
        raise UserError(f"{generators.name} makes {trained[0]} x {trained[1]} images: leave out --height and --width")
    divisor = sides_divide_by(trained) if isinstance(recipe, Pix2Pix) else 1
    if any(side % divisor for side in asked):
        raise UserError(
            f"{generators.name} makes images whose sides are multiples of {divisor}, not {asked[0]} x {asked[1]}: see "
            "--height and --width"
        )
    return settings.model_copy(
        update={
            "height": asked[0],
            "width": asked[1],
            "precision": str(dtype).removeprefix("torch.") if device == "cpu" else settings.precision,
            "label_rule": settings.label_rule or kind.label_rule or recipe.label_rule,
            **{name: getattr(recipe.settings, name, None) for name in GENERATION},
        }
    )


def _with_convolutions(
    settings: SynthesisSettings,
    generators: GeneratorSet,
    rows: int,
    inputs: SynthesisInputs,
    source: Dataset,
    only_told: bool,
) -> SynthesisSettings:
    """``settings`` that say how convolutions are computed, for so many ``rows``; ``only_told``: without a trial."""
    if settings.convolutions != "auto":
        return settings
    chosen: Convolutions = "channels_last"
    if inputs.device == "cpu":
        size, arithmetic = settings.size(generators), (settings.precision, settings.batch_size)
        trial = ConvolutionsTrial(generators, size, *arithmetic, inputs.threads)
        if only_told:
            return settings.model_copy(update={"convolutions": trial.known(rows) or "auto"})
        chosen = trial.choose(rows, lambda: _some_images(source, size))
    return settings.model_copy(update={"convolutions": chosen})


def _some_images(source: Dataset, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(N, H, W, 3), of ``size`` (height, width); black where none can be read."""
    images = [resize(image, *size) for image in spread_images(source, TRIAL_IMAGES)]
    return np.stack(images or [np.zeros((*size, 3), np.uint8)])


def synthesize(
    job: Synthesis,
    output_uri: str,
    *,
    where: ClusterSettings | None = None,
    record: dict[str, Any] | None = None,
    lineage: str | None = None,
    runner: ShardRunner = run_shards,
) -> Dataset:
    """Make the plan's images on actors and close the data set at ``output_uri``; needs a Ray session,
    unless ``runner`` is `run_shards_here`.

    ``lineage`` is told of the run (`pipeline.synthesis.lineage_sending`).

    Raises:
        UserError: the output holds another plan's run, the stage cannot be placed, a worker keeps failing.
    """
    plan, shard_rows = job.plan, job.plan.shard_rows
    recorded = run_record(job) | (record or {})
    run = DatasetRun.start(
        output_uri,
        "synthetic",
        plan.plan_id,
        shard_rows,
        footer={
            ClassMap.FOOTER_KEY: plan.classes.to_json(),
            SOURCE_TYPE_KEY: source_type_uri(job.inputs.generators.recipe.source_type),
        },
        run=recorded,
    )
    if run.finished:
        print(f"{output_uri} holds this plan already, complete: nothing to do", flush=True)
        return open_dataset(output_uri)
    to_do = plan.shards.only(run.pending())
    rows = sum(shard_rows[shard] for shard in to_do)
    resumed = f", {run.resumed_shards} shards done before" if run.resumed_shards else ""
    print(f"{STAGE}: {rows} images in {len(to_do)} shards to make{resumed}", flush=True)
    build = partial(SynthesisWorker, job.inputs, plan.head, job.settings, run.sink)
    work = StageWork(STAGE, build, to_do, stage_resources(STAGE, job.inputs.device), ShardPlan.table)
    told = telling(lineage, LineageRun(STAGE, "synthetic", recorded, _datasets(job), output_uri))
    with told, attempt(run, len(shard_rows)):
        with Progress(STAGE, rows) as progress:
            runner(work, where, progress)
        run.close()
    return open_dataset(output_uri)


def _datasets(job: Synthesis) -> tuple[Dataset, ...]:
    """All data sets that go in."""
    annotations = job.inputs.annotations_uri
    return tuple(
        dataset for _, dataset in _named(job.source, job.target, open_dataset(annotations) if annotations else None)
    )


def run_record(job: Synthesis) -> dict[str, Any]:
    """What the run record says beside ids and counts: enough to make any row again."""
    used = [(role, dataset) for role, dataset in (("source", job.source), ("target", job.target)) if dataset]
    return {
        "job": STAGE,
        "settings": job.settings.model_dump(mode="json"),
        "settings_sha256": job.plan.settings_sha256,
        "checkpoints": _checkpoints(job),
        "inputs": [one for role, dataset in used for one in described(role, dataset)],
        "annotations": _annotations(job.inputs.annotations_uri),
        "styles": [{"camera": camera, **style.as_dict()} for camera, style in job.inputs.styles.items()],
        "environment": environment(job.inputs.device, job.inputs.threads),
    }


def _checkpoints(job: Synthesis) -> list[dict[str, Any]]:
    """The models whose work is in the rows: the generators used, the labels' teacher, the judge of poses."""
    generators = job.inputs.generators
    models = [
        describe_model(entry.path, entry.sha256)
        | {
            "role": "generator",
            "name": f"{generators.name} {member}".strip(),
            "recipe": generators.recipe.name,
            "set_uri": absolute(generators.name),
        }
        for member, entry in sorted(generators.members.items())
        if member in job.plan.by_generator
    ]
    if job.teacher_sha256:
        name = str(job.settings.teacher)
        models.append(describe_model(name, job.teacher_sha256) | {"role": "teacher", "name": name, "recipe": "reid"})
    if job.inputs.pose_model:
        name, sha256 = job.inputs.pose_model, file_sha256(resolve(job.inputs.pose_model))
        models.append(describe_model(name, sha256) | {"role": "pose", "name": name, "recipe": None})
    return models


def _annotations(uri: str | None) -> dict[str, Any] | None:
    """Where masks and poses of the source came from, and the models that found them."""
    if uri is None:
        return None
    dataset = open_dataset(uri)
    columns = ["segmenter", "segmenter_sha256", "pose_model", "pose_sha256"]
    models = dataset.scan().select(columns).unique(maintain_order=True).collect().to_dicts()
    return {"uri": dataset.uri, "digest": dataset.digest(), "rows": dataset.snapshot.rows, "models": models}


def _terms(
    generators: GeneratorSet, settings: SynthesisSettings, target: Dataset | None, teacher_sha256: str | None
) -> dict[str, Terms]:
    """By member of the generators, what its rows come under beside the terms of their own images."""
    shared = [
        Terms.of(one["licence"], one["consent"]) for one in (described("target", target) if target is not None else ())
    ]
    if teacher_sha256 is not None:
        shared.append(_model_terms(str(settings.teacher), teacher_sha256))
    return {
        member: combined([_model_terms(entry.path, entry.sha256), *shared])
        for member, entry in generators.members.items()
    }


def _model_terms(name_or_path: str, sha256: str) -> Terms:
    described = describe_model(name_or_path, sha256)
    return of_model(described["licence"], described["trained_on"])
