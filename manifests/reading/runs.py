"""What a data set was made of and by: the runs that wrote it, read out of ``run.json``.

A run record holds whatever its job put there. Here it has a shape; what it does not say is None or empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypedDict, cast

from manifests.reading.dataset import Dataset

SOFTWARE = "reid-synth"


@dataclass(frozen=True)
class Input:
    """Something that went into a run: images of a data set, or a folder, with the terms they came on."""

    name: str
    role: str
    uri: str | None
    digest: str | None
    """`Dataset.digest` of a data set."""
    licence: str | None
    consent: str | None


class TrainingSet(TypedDict, total=False):
    """What a record says of images that a model learned from; other keys may be there, as the record has them."""

    images: object
    dataset_ids: list[str]
    licences: list[str]
    consent_bases: list[str]
    subjects: list[str]


TrainedOn = str | dict[str, TrainingSet] | None
"""A sentence, or the training sets by role, as a model's card has it."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model whose work is in the rows."""

    name: str
    role: str
    sha256: str
    recipe: str | None
    licence: str | None
    trained_on: TrainedOn
    uri: str | None
    set_uri: str | None
    """What the job was given: ``uri`` itself, or the folder of all pairs of cameras."""


@dataclass(frozen=True)
class Environment:
    """What a run ran on, and by which code."""

    fingerprint: str | None = None
    git_commit: str | None = None
    lock_sha256: str | None = None
    git_dirty: str | float | None = None
    device: str | float | None = None
    threads: str | float | None = None
    version: str | float | None = None
    python: str | float | None = None
    libraries: Mapping[str, object] = field(default_factory=dict)
    """Their versions."""
    recorded: Mapping[str, object] = field(default_factory=dict)
    """All of it, and whatever texts and figures the job put there besides."""


@dataclass(frozen=True)
class Run:
    """One run: when, by which job and software, from what; times are ISO 8601 with their offset."""

    plan_id: str
    schema_version: str | None
    job: str
    started: str | None
    closed: str | None
    settings: Mapping[str, object]
    settings_sha256: str | None
    inputs: tuple[Input, ...]
    checkpoints: tuple[Checkpoint, ...]
    annotators: tuple[Checkpoint, ...]
    """The models that found masks and poses of the source images."""
    environment: Environment
    scores: Mapping[str, object]
    """Figures of the whole data set (FID, say), where the job measured any."""
    diagram: tuple[Mapping[str, object], ...] = ()
    """Reliability against truth on people kept apart, bar by bar, where the job calibrated it."""


def runs(dataset: Dataset) -> list[Run]:
    """The runs whose rows are in the data set, oldest first; one that goes on meanwhile does not show.

    Before a run that merged data sets stand the runs that made them.
    """
    state = dataset.run
    found = [(one, _read_run(one)) for one in (*_mappings(state.get("earlier_runs")), state)]
    return [run for one, last in found if last.plan_id in dataset.snapshot.plan_ids for run in (*_merged(one), last)]


def _merged(state: Mapping[str, object]) -> Iterator[Run]:
    """The runs of the data sets that a run merged, and of those that they were merged from."""
    for dataset in _mappings(_mapping(state.get("run")).get("merged")):
        for one in _mappings(dataset.get("runs")):
            yield from (*_merged(one), _read_run(one))


def _read_run(state: Mapping[str, object]) -> Run:
    run = _mapping(state.get("run"))
    return Run(
        plan_id=str(_mapping(state.get("plan")).get("plan_id", "")),
        schema_version=_text(state, "schema_version"),
        job=str(run.get("job", "unknown")),
        started=_text(state, "started"),
        closed=_text(state, "closed"),
        settings=_mapping(run.get("settings")),
        settings_sha256=_text(run, "settings_sha256"),
        inputs=tuple(_inputs(run)),
        checkpoints=tuple(_checkpoints(run.get("checkpoints"))),
        annotators=tuple(_checkpoints(_annotators(run))),
        environment=_environment(run),
        scores=_scores(run),
        diagram=tuple(_diagram(run)),
    )


def _before_plausibility(run: Mapping[str, object]) -> bool:
    """Whether the run called reliability what is plausibility since schema 1.5: against one other person at random."""
    scores = _mapping(run.get("scores"))
    return "reliability" in scores and "plausibility" not in scores


def _scores(run: Mapping[str, object]) -> Mapping[str, object]:
    """The run's figures by the names of today."""
    scores = _mapping(run.get("scores"))
    if not _before_plausibility(run):
        return scores
    return {name.replace("reliability", "plausibility"): value for name, value in scores.items()}


def _inputs(run: Mapping[str, object]) -> Iterator[Input]:
    annotations = _mapping(run.get("annotations"))
    for one in [*_mappings(run.get("inputs")), *([{"role": "annotations", **annotations}] if annotations else [])]:
        role = _text(one, "role") or "source"
        yield Input(
            name=_text(one, "id") or role,
            role=role,
            uri=_text(one, "uri"),
            digest=_text(one, "digest"),
            licence=_text(one, "licence"),
            consent=_text(one, "consent"),
        )


def _checkpoints(models: object) -> Iterator[Checkpoint]:
    for one in _mappings(models):
        sha256 = one.get("sha256")
        if isinstance(sha256, str) and sha256:
            role = _text(one, "role") or "model"
            yield Checkpoint(
                name=_text(one, "name") or role,
                role=role,
                sha256=sha256,
                recipe=_text(one, "recipe"),
                licence=_text(one, "licence"),
                trained_on=training_sets(one.get("trained_on")),
                uri=_text(one, "uri"),
                set_uri=_text(one, "set_uri"),
            )


def training_sets(said: object) -> TrainedOn:
    """What a record or card says of a model's training: a sentence as it is; training sets by role, in each the names
    of data sets, licences, bases and people as lists of texts, where it gives them; None for anything else."""
    if isinstance(said, str):
        return said
    parts = {role: part for role, part in _mapping(said).items() if isinstance(part, Mapping)}
    return {role: cast(TrainingSet, {**part, **_lists(part)}) for role, part in parts.items()} or None


def _lists(part: Mapping[str, object]) -> dict[str, list[str]]:
    named = {name: part[name] for name in ("dataset_ids", "licences", "consent_bases", "subjects") if name in part}
    lists = {name: value if isinstance(value, list) else [] for name, value in named.items()}
    return {name: [one for one in values if isinstance(one, str)] for name, values in lists.items()}


def _environment(run: Mapping[str, object]) -> Environment:
    said = _mapping(run.get("environment"))
    plain = {name: one for name, one in said.items() if isinstance(one, str | int | float) and name != "libraries"}
    texts = {name: str(plain[name]) for name in ("git_commit", "fingerprint", "lock_sha256") if name in plain}
    libraries = dict(_mapping(said.get("libraries")))
    return Environment(
        fingerprint=texts.get("fingerprint"),
        git_commit=texts.get("git_commit"),
        lock_sha256=texts.get("lock_sha256"),
        git_dirty=plain.get("git_dirty"),
        device=plain.get("device"),
        threads=plain.get("threads"),
        version=plain.get("version"),
        python=plain.get("python"),
        libraries=libraries,
        recorded=plain | texts | ({"libraries": libraries} if libraries else {}),
    )


def _diagram(run: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    if not _before_plausibility(run):
        yield from filter(_is_bar, _mappings(_mapping(run.get("calibration")).get("diagram")))


def _is_bar(bar: Mapping[str, object]) -> bool:
    numbers = [bar.get(name) for name in ("low", "high", "reliability", "share")]
    right = bar.get("right", "")
    return all(isinstance(one, int | float) for one in numbers) and isinstance(right, int | float | None)


def _annotators(run: Mapping[str, object]) -> list[dict[str, object]]:
    """Each model of the annotations in the form of a checkpoint."""
    roles = (("segmenter", "segmenter", "segmenter_sha256"), ("pose model", "pose_model", "pose_sha256"))
    pairs = list(_mappings(_mapping(run.get("annotations")).get("models")))
    return [{"role": role, "name": one.get(name), "sha256": one.get(key)} for one in pairs for role, name, key in roles]


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> Iterator[Mapping[str, object]]:
    return (one for one in value if isinstance(one, Mapping)) if isinstance(value, list) else iter(())


def _text(value: Mapping[str, object], name: str) -> str | None:
    found = value.get(name)
    return None if found is None else str(found)
