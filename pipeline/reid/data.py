"""Images for a ReID network: from manifests with their labels, and as augmented batches."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from manifests.dataset import Dataset
from manifests.errors import UserError
from manifests.soft_labels import ClassMap, expand
from manifests.store import open_dataset
from pipeline.digests import content_id, subject_key
from pipeline.images import ImageError, RgbImage, decode, resize
from pipeline.reid.evaluation import DISTRACTOR, JUNK
from pipeline.settings import JobSettings
from pipeline.training_data import Columns, Crop, DomainData, crop_together, random_generator

_STREAM = 400
_PART = 1024
_SOURCE = ["image", "image_sha256", "identity", "camera", "split", "role", "dataset_id", "licence"]
_LABEL = ["soft_label", "soft_label_rest", "num_classes"]
_SYNTHETIC = ["image", "image_sha256", "split", *_LABEL, "subject_keys", "quality"]


@dataclass(frozen=True)
class LabelledImages:
    """``images`` (N, H, W, 3) uint8 RGB of one size; ``targets`` (N, K) float32, each row a distribution over the
    classes; ``classes`` names them, where they are identities. ``provenance`` goes into the card."""

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]
    classes: ClassMap | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise ValueError(f"images must be (N, H, W, 3) uint8, got {self.images.shape} {self.images.dtype}")
        if self.targets.ndim != 2 or len(self.targets) != len(self.images) or self.targets.dtype != np.float32:
            raise ValueError(f"targets must be ({len(self)}, K) float32, got {self.targets.shape}")
        if self.classes is not None and len(self.classes) != self.targets.shape[1]:
            raise ValueError(f"{len(self.classes)} classes, but targets over {self.targets.shape[1]}")

    def __len__(self) -> int:
        return len(self.images)

    def digest(self) -> str:
        """SHA-256, hex, over shapes and bytes of images and targets."""
        digest = hashlib.sha256()
        for array in (self.images, self.targets):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class People:
    """Images to find people in: ``images`` (N, H, W, 3) uint8; ``identities`` (N,) int64, numbered from 1 over one
    set, 0 for a distractor, -1 for junk; ``cameras`` (N,) int64, -1 where unknown; ``digests`` of the image files."""

    images: NDArray[np.uint8]
    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]
    digests: tuple[str, ...]


@dataclass(frozen=True)
class PosedImages:
    """Images made of others: ``images`` (N, H, W, 3) uint8; which image shows the person, and in what pose."""

    images: NDArray[np.uint8]
    contents: tuple[str, ...]
    """Digests of the images whose person is shown."""
    poses: tuple[str | None, ...]
    """As in ``target.pose``."""


def load_labelled(
    uri: str, height: int, width: int, classes: ClassMap | None = None, min_reliability: float | None = None
) -> LabelledImages:
    """The training split at ``uri`` at (height, width), with dense labels: one-hot for people of a source manifest,
    as they stand on the rows of a synthetic one. ``classes`` is the numbering to use; by default the set's own.
    ``min_reliability`` keeps only the rows of a scored synthetic set that are at least so reliable.

    Raises:
        UserError: no such data set, nothing labelled in it, labels over other classes, a broken image, or reliability
            is asked for where nothing was scored.
    """
    dataset = open_dataset(uri)
    if dataset.kind == "synthetic":
        return _load_synthetic(dataset, height, width, classes, min_reliability)
    if min_reliability is not None:
        raise UserError(f"{uri} holds {dataset.kind} rows: only synthetic rows have a reliability")
    rows = _training_rows(dataset)
    if not rows:
        raise UserError(f"nobody with an identity in the training split of {uri}")
    numbering = classes or ClassMap.of(row["identity"] for row in rows)
    numbers = numbering.numbers([row["identity"] for row in rows])
    if (numbers < 0).any():
        raise UserError(f"{uri} shows {rows[int(numbers.argmin())]['identity']}, who is not among the classes")
    targets = np.zeros((len(rows), len(numbering)), np.float32)
    targets[np.arange(len(rows)), numbers] = 1.0
    subjects = {subject_key(row["dataset_id"], row["identity"]) for row in rows}
    return LabelledImages(_decode(rows, uri, height, width), targets, numbering, _provenance(dataset, rows, subjects))


def _load_synthetic(
    dataset: Dataset, height: int, width: int, classes: ClassMap | None, min_reliability: float | None
) -> LabelledImages:
    table = _filtered(dataset.read(_SYNTHETIC), ["train"])
    if not table.num_rows:
        raise UserError(f"no rows in the training split of {dataset.uri}")
    if min_reliability is not None:
        table = _reliable(table, min_reliability, dataset.uri)
    own = dataset.classes
    if own is None or (classes is not None and own != classes):
        raise UserError(f"the labels of {dataset.uri} are over other classes than the real images'")
    try:
        targets = expand(table, len(own))
    except ValueError as error:
        raise UserError(f"the labels of {dataset.uri} cannot be used: {error}") from None
    rows = table.select(["image", "image_sha256", "subject_keys"]).to_pylist()
    subjects = {key for row in rows for key in row["subject_keys"]}
    return LabelledImages(_decode(rows, dataset.uri, height, width), targets, own, _provenance(dataset, rows, subjects))


def stream_people(uri: str, splits: Sequence[str], height: int, width: int) -> Iterator[tuple[str, People]]:
    """The images of ``splits`` (query, gallery) of a source manifest, a part of one split at a time so that a large
    gallery need not fit in memory; one numbering of people for all.

    Raises:
        UserError: no such data set, of another kind, a split that is empty, a broken image.
    """
    dataset = open_dataset(uri)
    if dataset.kind != "source":
        raise UserError(f"{uri} holds {dataset.kind} rows; source rows are needed here")
    known = _filtered(dataset.read(["identity", "split"]), splits)
    classes = ClassMap.of(known.column("identity").to_pylist())
    for split in splits:
        if split not in known.column("split").to_pylist():
            raise UserError(f"nobody in the {split} split of {uri}")
        for table in dataset.shards(_SOURCE):
            rows = _filtered(table, [split]).to_pylist()
            for start in range(0, len(rows), _PART):
                part = rows[start : start + _PART]
                yield split, _people(part, classes, _decode(part, uri, height, width))


def _people(rows: list[dict[str, Any]], classes: ClassMap, images: NDArray[np.uint8]) -> People:
    kinds = {"junk": JUNK, "distractor": DISTRACTOR}
    numbers = [kinds.get(row["role"], classes.number(row["identity"]) + 1) for row in rows]
    cameras = [-1 if row["camera"] is None else row["camera"] for row in rows]
    digests = tuple(row["image_sha256"] for row in rows)
    return People(images, np.array(numbers, np.int64), np.array(cameras, np.int64), digests)


def stream_posed(uri: str, contents: Collection[str], height: int, width: int) -> Iterator[PosedImages]:
    """The rows of a synthetic data set that show the person of one of the images ``contents``, a part at a time.

    Raises:
        UserError: no such data set, of another kind, a broken image.
    """
    for table in _generated(uri).shards(["image", "image_sha256", "sources", "target"]):
        shown = [_content(sources) for sources in table.column("sources").to_pylist()]
        wanted = [number for number, digest in enumerate(shown) if digest in contents]
        for start in range(0, len(wanted), _PART):
            part = wanted[start : start + _PART]
            rows = table.take(part).to_pylist()
            digests, poses = (shown[number] or "" for number in part), (row["target"]["pose"] for row in rows)
            yield PosedImages(_decode(rows, uri, height, width), tuple(digests), tuple(poses))


def count_posed(uri: str, contents: Collection[str]) -> int:
    """How many rows `stream_posed` gives; raises as it does."""
    return sum(_content(sources) in contents for sources in _generated(uri).read(["sources"])["sources"].to_pylist())


def _generated(uri: str) -> Dataset:
    dataset = open_dataset(uri)
    if dataset.kind != "synthetic":
        raise UserError(f"{uri} holds {dataset.kind} rows; generated poses are needed here")
    return dataset


def _content(sources: list[dict[str, Any]]) -> str | None:
    """Digest of the image whose person a row shows; None for a person out of noise."""
    return next((source["sha256"] for source in sources if source["role"] == "content"), None)


def _filtered(table: pa.Table, splits: Sequence[str]) -> pa.Table:
    return table.filter(pc.is_in(table.column("split"), value_set=pa.array(splits)))


def _reliable(table: pa.Table, least: float, uri: str) -> pa.Table:
    reliability = pc.struct_field(table.column("quality"), "reliability")
    if reliability.null_count == len(reliability):
        raise UserError(f"no row of {uri} has a reliability: score it with jobs/score_dataset.py first")
    kept = table.filter(pc.greater_equal(reliability, least))
    if not kept.num_rows:
        raise UserError(f"no row of {uri} has a reliability of {least:g} or more (most: {pc.max(reliability)})")
    return kept


def _training_rows(dataset: Dataset) -> list[dict[str, Any]]:
    rows = [row for table in dataset.shards(_SOURCE) for row in _filtered(table, ["train"]).to_pylist()]
    return [row for row in rows if row["role"] == "person" and row["identity"] is not None]


def _decode(rows: list[dict[str, Any]], uri: str, height: int, width: int) -> NDArray[np.uint8]:
    return np.stack([resize(_picture(row, uri), height, width) for row in rows])


def _picture(row: dict[str, Any], uri: str) -> RgbImage:
    try:
        return decode(row["image"]["bytes"])
    except ImageError as error:
        raise UserError(f"image {row['image_sha256'][:12]} of {uri} does not decode: {error}") from None


def _provenance(dataset: Dataset, rows: list[dict[str, Any]], subjects: set[str]) -> dict[str, Any]:
    return {
        "images": len(rows),
        "kind": dataset.kind,
        "manifest_sha256": dataset.digest(),
        "licences": sorted({row["licence"] for row in rows if row.get("licence")}),
        "subjects": sorted(subjects),
        "subjects_digest": content_id(*sorted(subjects)),
    }


class AugmentationSettings(JobSettings):
    """How training images are varied."""

    padding: float = Field(
        default=10 / 256, ge=0, lt=0.5, description="black border before the random crop, as a share of the height"
    )
    flip: float = Field(default=0.5, ge=0, le=1, description="share of images that are mirrored")
    erasing: float = Field(
        default=0.5, ge=0, le=1, description="share of images with a rectangle erased (Zhong et al., AAAI 2020)"
    )
    erased_most: float = Field(
        default=0.4, gt=0.02, le=1, description="largest erased share of an image; smallest 0.02"
    )


class ReidBatches(Protocol):
    """Where training batches come from: each a function of its step."""

    def batch(self, step: int, size: int) -> Columns:
        """``image`` (N, H, W, 3) uint8; ``target`` (N, K) float32; ``weight`` (N,) float32: the loss is the sum of
        the rows' cross-entropies times their weights."""

    def digest(self) -> str:
        """SHA-256 of the data."""


class LabelledBatches:
    """Augmented batches of one labelled set, in a new random order every epoch; every row weighs the same."""

    def __init__(self, data: LabelledImages, seed: int, settings: AugmentationSettings | None = None) -> None:
        self.data, self.seed = data, seed
        self.settings = settings or AugmentationSettings()
        border = round(data.images.shape[1] * self.settings.padding)
        self._padded = np.pad(data.images, ((0, 0), (border, border), (border, border), (0, 0)))

    def batch(self, step: int, size: int) -> Columns:
        """As `ReidBatches.batch`."""
        rng = random_generator(self.seed, _STREAM, step)
        drawn = [divmod(step * size + place, len(self.data)) for place in range(size)]
        rows = np.array([_order(self.seed, epoch, len(self.data))[place] for epoch, place in drawn], np.int64)
        images = self._crop(rows, rng)
        for image in images:
            if rng.random() < self.settings.erasing:
                erase(image, rng, self.settings.erased_most)
        return {"image": images, "target": self.data.targets[rows], "weight": np.full(size, 1 / size, np.float32)}

    def digest(self) -> str:
        return self.data.digest()

    def _crop(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.uint8]:
        height, width = self.data.images.shape[1:3]
        room = self._padded.shape[1] - height + 1
        places = rng.integers(room, size=(len(rows), 2))
        flips = rng.random(len(rows)) < self.settings.flip
        crops = [Crop(int(top), int(left), bool(flip)) for (top, left), flip in zip(places, flips, strict=True)]
        return crop_together(DomainData(self._padded[rows]), crops, height, width).images


def erase(image: NDArray[np.uint8], rng: np.random.Generator, most: float = 0.4) -> None:
    """Paint one random rectangle of ``image`` (H, W, 3) grey, in place: 0.02 to ``most`` of its area, sides between
    3:10 and 10:3 (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020, section 3.2)."""
    height, width = image.shape[:2]
    for _ in range(20):
        area = rng.uniform(0.02, most) * height * width
        aspect = rng.uniform(0.3, 1 / 0.3)
        tall, wide = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < tall < height and 0 < wide < width:
            top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
            image[top : top + tall, left : left + wide] = (124, 116, 104)  # ImageNet's mean: 0 for the network
            return


@lru_cache(maxsize=8)
def _order(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    return random_generator(seed, _STREAM + 1, epoch).permutation(rows)
