"""Training sets of a ReID network: images of one or several manifests with dense labels over one numbering of people.

A real image is labelled one-hot, a generated one as its row says; one labelled evenly over all (LSRO) shows nobody in
particular, whatever it was made from. A person is a name within a data set (see `manifests.writing.numbering`): a
generated image of somebody has the class of their real images, and people of one name in two data sets stay two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.soft_labels import NO_LABEL, ClassMap, LabelColumns, expand, one_hot
from manifests.reading.dataset import Dataset
from manifests.reading.inputs import open_input
from manifests.writing.numbering import Renaming, unite
from manifests.writing.relabel import relabel
from pipeline.common.row_images import PICTURE
from pipeline.reid.data import decode_images, in_splits
from pipeline.training.provenance import SUBJECTS, TERMS, provenance_of

_SOURCE = [*PICTURE, "split", "role", *SUBJECTS["source"], *TERMS]
_LABEL = ["hard_label", "label_rule", "label_epsilon", "soft_label", "soft_label_rest", "num_classes"]
_SYNTHETIC = [*PICTURE, "split", "quality", *_LABEL, *SUBJECTS["synthetic"], *TERMS]


@dataclass(frozen=True)
class LabelledImages:
    """``images`` (N, H, W, 3) uint8 RGB of one size; ``targets`` (N, K) float32, each row a distribution over the
    classes; ``people`` (N,) int32, the class of who is shown, -1 for nobody in particular, None where not known;
    ``weights`` (N,) float32, what each counts in the loss beside others of its kind, None for all the same."""

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]
    people: NDArray[np.int32] | None = None
    weights: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise ValueError(f"images must be (N, H, W, 3) uint8, got {self.images.shape} {self.images.dtype}")
        if self.targets.ndim != 2 or len(self.targets) != len(self.images) or self.targets.dtype != np.float32:
            raise ValueError(f"targets must be ({len(self)}, K) float32, got {self.targets.shape}")
        for name, column in (("people", self.people), ("weights", self.weights)):
            if column is not None and column.shape != (len(self),):
                raise ValueError(f"{name} must be ({len(self)},), got {column.shape}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def known_people(self) -> NDArray[np.int32]:
        """``people``; raises ValueError where they are not known."""
        if self.people is None:
            raise ValueError("nobody said who is on these images")
        return self.people

    def digest(self) -> str:
        """SHA-256, hex, over shapes and bytes of all arrays."""
        digest = hashlib.sha256()
        for array in (self.images, self.targets, self.people, self.weights):
            if array is not None:
                digest.update(repr(array.shape).encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class TrainingSets:
    """What a network learns from: all images, real ones first."""

    images: LabelledImages
    real_images: int
    """How many of them are real."""
    classes: ClassMap
    provenance: Mapping[str, Mapping[str, Any]]
    """What goes into the card, by URI."""

    @property
    def real(self) -> LabelledImages | None:
        """The real images, if there are any."""
        return self._part(slice(0, self.real_images))

    @property
    def synthetic(self) -> LabelledImages | None:
        """The generated images, if there are any."""
        return self._part(slice(self.real_images, None))

    def _part(self, rows: slice) -> LabelledImages | None:
        whole = self.images
        people = None if whole.people is None else whole.people[rows]
        weights = None if whole.weights is None else whole.weights[rows]
        part = LabelledImages(whole.images[rows], whole.targets[rows], people, weights)
        return part if len(part) else None


def load_sets(
    uris: Sequence[str],
    height: int,
    width: int,
    min_reliability: float | None = None,
    weigh_by: Literal["reliability"] | None = None,
) -> TrainingSets:
    """The training splits at ``uris`` at (height, width): source manifests, synthetic ones, or both.

    ``min_reliability`` keeps only the rows of scored synthetic sets that are at least so reliable; ``weigh_by`` makes
    the score of each generated row its weight, over the mean of them all, so that the average one weighs 1 as real ones
    do. The numbers of the widest class map stay as they are: that of a synthetic set, where people were erased since it
    was made.

    Raises:
        UserError: no such data set, one twice, nothing labelled in it, people who cannot be told apart, a broken
            image, or reliability is asked for where nothing, or for weights not everything, was scored.
    """
    datasets = [open_input(uri, "source", "synthetic") for uri in uris]
    _check_kinds(datasets, min_reliability is not None or weigh_by is not None)
    maps = {dataset.uri: _classes(dataset) for dataset in datasets}
    for dataset in datasets:
        if dataset.kind == "synthetic":
            _check_rows(dataset, min_reliability, weigh_by)
    datasets.sort(key=lambda dataset: -len(maps[dataset.uri]))
    classes, renamings = unite(datasets, [maps[dataset.uri] for dataset in datasets])
    size = height, width
    parts = [_load(*one, classes, size, min_reliability) for one in zip(datasets, renamings, strict=True)]
    parts.sort(key=lambda part: part.provenance["kind"] != "source")
    images = _joined([part.images for part in parts])
    return TrainingSets(
        images=replace(images, weights=_weights(parts)) if weigh_by else images,
        real_images=sum(len(part.images) for part in parts if part.provenance["kind"] == "source"),
        classes=classes,
        provenance={part.uri: part.provenance for part in parts},
    )


@dataclass(frozen=True)
class _Part:
    """What one data set gives."""

    uri: str
    images: LabelledImages
    provenance: Mapping[str, Any]
    reliability: NDArray[np.float32] | None
    """(N,) of generated images, NaN where they have none; None for real ones."""


def _check_kinds(datasets: Sequence[Dataset], scored: bool) -> None:
    seen = set()
    for dataset in datasets:
        if dataset.uri in seen:
            raise UserError(f"{dataset.uri} is named twice")
        seen.add(dataset.uri)
    if scored and all(dataset.kind == "source" for dataset in datasets):
        raise UserError(f"{datasets[0].uri} holds source rows: only synthetic rows have a reliability")


def _classes(dataset: Dataset) -> ClassMap:
    """The numbering of one set alone."""
    if dataset.kind == "source":
        people = _chosen(dataset.read(["identity", "split", "role"]), "source", None).column("identity")
        if not len(people):
            raise UserError(f"nobody with an identity in the training split of {dataset.uri}")
        return ClassMap.of(people.to_pylist())
    if dataset.classes is None:
        raise UserError(f"{dataset.uri} does not say which people its labels are over")
    return dataset.classes


def _check_rows(dataset: Dataset, min_reliability: float | None, weigh_by: str | None) -> None:
    """Refuse a synthetic set that would give nothing, or no weights, before any image is decoded."""
    rows = in_splits(dataset.read(["split", "quality"]), ["train"])
    if not rows.num_rows:
        raise UserError(f"no rows in the training split of {dataset.uri}")
    chosen = _reliability(_chosen(rows, "synthetic", min_reliability))
    most = pc.max(_reliability(rows)).as_py()
    if min_reliability is not None and not len(chosen) and most is not None:
        raise UserError(f"no row of {dataset.uri} has a reliability of {min_reliability:g} or more (most: {most:.4g})")
    if (min_reliability is not None or weigh_by) and most is None:
        earlier = "; of before schema 1.5, it has a plausibility" if _plausible(rows) else ""
        raise UserError(
            f"no row of {dataset.uri} has a reliability: score it with jobs/score_dataset.py first{earlier}"
        )
    if weigh_by and chosen.null_count:
        raise UserError(
            f"{chosen.null_count} of {len(chosen)} rows of {dataset.uri} have no reliability to be weighed by: score "
            "them with jobs/score_dataset.py, or leave them out with --min-reliability 0"
        )


def _load(
    dataset: Dataset, renaming: Renaming, classes: ClassMap, size: tuple[int, int], min_reliability: float | None
) -> _Part:
    label, columns = (_label_real, _SOURCE) if dataset.kind == "source" else (_label_synthetic, _SYNTHETIC)
    images, facts, scores = [], [], []
    for table in dataset.shards(columns):
        table = _chosen(table, dataset.kind, min_reliability)
        if not table.num_rows:
            continue
        try:
            labels = label(table, renaming, classes)
            targets = expand(labels, len(classes))
        except (ValueError, IndexError) as error:
            raise UserError(f"the labels of {dataset.uri} cannot be used: {error}") from None
        pictures = decode_images(table.select(PICTURE).to_pylist(), dataset.uri, *size)
        images.append(LabelledImages(pictures, targets, _people(labels)))
        facts.append(table.select([*SUBJECTS[dataset.kind], *TERMS]))
        if dataset.kind == "synthetic":
            scores.append(_reliability(table).to_numpy().astype(np.float32))
    provenance = _provenance(dataset, pa.concat_tables(facts))
    if dataset.kind == "synthetic" and min_reliability is not None:
        provenance["min_reliability"] = min_reliability
    return _Part(dataset.uri, _joined(images), provenance, np.concatenate(scores) if scores else None)


def _weights(parts: Sequence[_Part]) -> NDArray[np.float32]:
    """1 for real images, for generated ones their reliability over its mean."""
    scores = [part.reliability for part in parts if part.reliability is not None]
    mean = float(np.concatenate(scores).mean(dtype=np.float64))
    if not mean:
        raise UserError("the reliability of every generated row is 0: there is nothing to weigh by")
    weights = [
        np.ones(len(part.images), np.float32) if part.reliability is None else part.reliability / np.float32(mean)
        for part in parts
    ]
    return np.concatenate(weights)


def _provenance(dataset: Dataset, rows: pa.Table) -> dict[str, Any]:
    """What went in, for the card."""
    return {"kind": dataset.kind, **provenance_of(dataset, rows.to_pylist())}


def _chosen(table: pa.Table, kind: str, min_reliability: float | None) -> pa.Table:
    """The rows to train on: real ones that show somebody, generated ones that are so reliable."""
    table = in_splits(table, ["train"])
    if kind == "source":
        return table.filter(pc.and_(pc.equal(table.column("role"), "person"), pc.is_valid(table.column("identity"))))
    if min_reliability is None:
        return table
    return table.filter(pc.greater_equal(_reliability(table), min_reliability))


def _reliability(table: pa.Table) -> pa.ChunkedArray:
    return pc.struct_field(table.column("quality"), "reliability")


def _plausible(table: pa.Table) -> bool:
    """Whether the rows have what was called reliability once."""
    scores = pc.struct_field(table.column("quality"), "plausibility")
    return bool(scores.null_count < len(scores))


def _label_real(table: pa.Table, renaming: Renaming, classes: ClassMap) -> LabelColumns:
    people = zip(*(table.column(name).to_pylist() for name in SUBJECTS["source"]), strict=True)
    return one_hot(classes.numbers([renaming.names[person] for person in people]), len(classes))


def _label_synthetic(table: pa.Table, renaming: Renaming, classes: ClassMap) -> LabelColumns:
    relabelled = relabel(table, renaming.numbers, len(classes))
    return {name: relabelled.column(name) for name in _LABEL}


def _people(labels: LabelColumns) -> NDArray[np.int32]:
    """The class of who is shown, (N,): of nobody in particular, where the label names none of them."""
    hard = np.asarray(labels["hard_label"], np.int32)
    return np.where(np.asarray(labels["label_rule"].to_pylist()) == "lsro", np.int32(NO_LABEL), hard)


def _joined(parts: Sequence[LabelledImages]) -> LabelledImages:
    if len(parts) == 1:
        return parts[0]
    arrays = [(part.images, part.targets, part.people) for part in parts]
    images, targets, people = (np.concatenate(columns) for columns in zip(*arrays, strict=True))
    return LabelledImages(images, targets, people)
