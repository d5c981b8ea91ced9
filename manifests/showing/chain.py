"""The chain behind one synthetic row, as `manifests.showing.trace` finds it: named fields, and their form as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from manifests.reading.runs import TrainedOn


@dataclass(frozen=True)
class RowSource:
    """An image that went in, as the row names it."""

    sha256: str
    role: str
    dataset_id: str


@dataclass(frozen=True)
class SourceImage:
    """The same as the source data set at ``uri`` has it."""

    uri: str
    image_id: str
    relative_path: str
    identity: str | None
    camera: int | None
    split: str
    licence: str | None
    consent_basis: str | None


@dataclass(frozen=True)
class Annotation:
    """Who found mask and pose on it, as the annotations at ``uri`` have it."""

    uri: str
    mask_quality: float | None
    segmenter: str | None
    segmenter_sha256: str | None
    pose_model: str | None
    pose_sha256: str | None


@dataclass(frozen=True)
class Source(RowSource):
    """An image that went in, with what is known of it; None where that was not found."""

    image: SourceImage | None
    annotation: Annotation | None


@dataclass(frozen=True)
class Row:
    """The row's own columns: all of the schema but pictures, keypoints and the soft label."""

    sample_id: str
    image_sha256: str
    pixel_sha256: str
    width: int
    height: int
    identity: str | None
    hard_label: int
    num_classes: int
    camera: int | None
    domain: str | None
    split: str
    soft_label_rest: float
    label_rule: str
    label_epsilon: float | None
    subject_keys: tuple[str, ...]
    sources: tuple[RowSource, ...]
    recipe: str
    recipe_version: str
    settings_sha256: str
    seed: int
    draw: int
    plan_id: str
    checkpoint_sha256s: tuple[str, ...]
    target: Mapping[str, int | str | None] | None
    quality: Mapping[str, float | None] | None
    digital_source_type: str
    licence: str | None
    consent_basis: str | None


@dataclass(frozen=True)
class ListedClass:
    """A class that the soft label lists; ``identity`` is None where the data set does not name it."""

    number: int
    identity: str | None
    probability: float


@dataclass(frozen=True)
class Label:
    """The soft label: what it lists, the largest probability first, and that of each class that it does not list."""

    rule: str
    epsilon: float | None
    classes: int
    listed: tuple[ListedClass, ...]
    each_other: float


@dataclass(frozen=True)
class RowModel:
    """A model that made, labelled or judged the row; None for what its run's record does not say."""

    sha256: str
    role: str
    name: str | None = None
    recipe: str | None = None
    licence: str | None = None
    trained_on: TrainedOn = None
    uri: str | None = None


@dataclass(frozen=True)
class RanOn:
    """What the run ran on, and by which code."""

    fingerprint: str | None
    git_commit: str | None
    git_dirty: str | float | None
    device: str | float | None


@dataclass(frozen=True)
class RowRun:
    """The run that wrote the row; ``settings`` is None where those of its record are not the row's."""

    job: str
    plan_id: str
    started: str | None
    closed: str | None
    settings: Mapping[str, object] | None
    environment: RanOn


@dataclass(frozen=True)
class Chain:
    """All that is known of a row: it stands at ``row_in_file`` of ``file`` in the data set at ``uri``."""

    uri: str
    file: str
    row_in_file: int
    row: Row
    label: Label
    sources: tuple[Source, ...]
    models: tuple[RowModel, ...]
    run: RowRun | None
    """None where no record is of the row's plan."""

    def to_json(self) -> dict[str, object]:
        """What ``trace --json`` prints; the number of a class is called ``class`` there."""
        values = asdict(self)
        listed = values["label"]["listed"]
        values["label"]["listed"] = [{"class": one.pop("number"), **one} for one in listed]
        return values
