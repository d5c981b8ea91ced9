"""The chain behind a row as a short tree for people; what `manifests.showing.trace` found, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from manifests.format.schema import SOURCE_TYPES
from manifests.reading.runs import TrainedOn
from manifests.showing.chain import Annotation, Chain, Label, Row, RowModel, RowRun, Source, SourceImage

_DIGITS = 12
_LISTED = 3


class Branch(NamedTuple):
    """A line and what hangs from it."""

    text: str
    below: tuple[Branch, ...] = ()


def as_text(chain: Chain) -> str:
    """What `manifests.showing.trace.trace` returned, as a tree."""
    row = chain.row
    place = f"row {chain.row_in_file} of {chain.file} in {chain.uri}"
    shown = [f"identity {row.identity}" if row.identity is not None else "nobody in particular"]
    shown += [f"camera {row.camera}"] if row.camera is not None else []
    shown += [
        str(row.domain),
        row.split,
        f"{row.width} x {row.height} pixels, {SOURCE_TYPES.get(row.digital_source_type, row.digital_source_type)}",
    ]
    branches = (
        Branch(f"shows {', '.join(shown)}"),
        Branch(f"labelled by {_label_text(chain.label)}"),
        Branch(f"on terms of all that went in: {_terms_text(row)}"),
        Branch("made from", tuple(map(_source_branch, chain.sources)) or (Branch("noise alone: no image went in"),)),
        Branch(f"made by {row.recipe} {row.recipe_version}", tuple(map(_model_branch, chain.models))),
        Branch(f"asked for {_target_text(row)}; seed {row.seed}, draw {row.draw}"),
        _run_branch(chain.run, row),
        Branch(f"digests: pixels {_short(row.pixel_sha256)}, file {_short(row.image_sha256)}"),
    )
    return "\n".join([f"{row.sample_id}, {place}", *_drawn(branches)])


def _drawn(branches: tuple[Branch, ...], margin: str = "") -> Iterator[str]:
    for branch in branches:
        last = branch is branches[-1]
        yield f"{margin}{'└─' if last else '├─'} {branch.text}"
        yield from _drawn(branch.below, margin + ("   " if last else "│  "))


def _source_branch(source: Source) -> Branch:
    text = f"{source.role} {_short(source.sha256)} of {source.dataset_id}"
    image = source.image
    if image is None:
        return Branch(f"{text}: not found, name its data set with --source")
    below = [
        Branch(f"{image.relative_path}: identity {image.identity}, camera {image.camera}, {image.split}"),
        Branch(f"image {image.image_id} of {image.uri}; {_terms_text(image)}"),
    ]
    if source.annotation is not None:
        below.append(Branch(_annotation_text(source.annotation)))
    return Branch(text, tuple(below))


def _terms_text(of: Row | SourceImage) -> str:
    return f"licence {of.licence or 'unknown'}, consent {of.consent_basis or 'unknown'}"


def _annotation_text(found: Annotation) -> str:
    mask = f"mask by {found.segmenter} {_short(found.segmenter_sha256)}"
    return f"{mask}, pose by {found.pose_model} {_short(found.pose_sha256)}, in {found.uri}"


def _model_branch(model: RowModel) -> Branch:
    text = f"{model.role} {model.name or 'of unknown name'} {_short(model.sha256)}"
    if model.licence:
        text += f", licence {model.licence}"
    return Branch(text, tuple(Branch(f"trained on {line}") for line in _training_sets(model.trained_on)))


def _training_sets(trained_on: TrainedOn) -> Iterator[str]:
    """A sentence as it is; of training sets by role, how many images of what."""
    if isinstance(trained_on, Mapping):
        for role, part in trained_on.items():
            of = ", ".join(part.get("dataset_ids") or ["an unnamed data set"])
            yield f"{part.get('images', 'unknown')} {role} images of {of}"
    elif trained_on:
        yield trained_on


def _label_text(label: Label) -> str:
    epsilon = f" {label.epsilon:g}" if label.epsilon is not None else ""
    parts = [
        f"{one.identity if one.identity is not None else one.number} {one.probability:.3g}"
        for one in label.listed[:_LISTED]
    ]
    more = len(label.listed) - _LISTED
    parts += [f"{more} more listed"] if more > 0 else []
    each = "each other" if parts else "each"
    return f"{label.rule}{epsilon} over {label.classes} classes: " + ", ".join(
        [*parts, f"{each} {label.each_other:.3g}"]
    )


def _target_text(row: Row) -> str:
    asked = [f"{name} {value}" for name, value in (row.target or {}).items() if value is not None]
    return ", ".join(asked) or "nothing in particular"


def _run_branch(run: RowRun | None, row: Row) -> Branch:
    plan = f"plan {_short(row.plan_id)}"
    settings = f"settings {_short(row.settings_sha256)}"
    if run is None:
        return Branch(f"{plan}: no run of it is recorded", (Branch(settings),))
    known = (run.settings or {}).items()
    listed = ", ".join(f"{key} {_value(value)}" for key, value in known if value is not None)
    environment = run.environment
    commit = f"code {_short(environment.git_commit or 'unknown')}{', changed' if environment.git_dirty else ''}"
    return Branch(
        f"run {run.job} of {run.started}, {plan}",
        (
            Branch(f"{settings}: {listed or 'not those in run.json'}"),
            Branch(f"environment {environment.fingerprint} on {environment.device}, {commit}"),
        ),
    )


def _value(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(digest: str | None) -> str:
    return (digest or "unknown")[:_DIGITS]
