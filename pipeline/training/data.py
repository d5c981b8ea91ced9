"""Training data in memory: uint8 crops of two domains with their masks and keypoints, and the batches drawn from them.

Augmentation is CycleGAN's (resize to 1.117 x, crop, flip; ICCV 2017, appendix 7.1) and moves image, mask and
keypoints together. Every draw comes from (seed, step) alone, so a batch can be made again without its past.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from manifests.errors import UserError
from pipeline.common.images import resize, resize_mask
from pipeline.common.keypoints import COCO_MIRROR
from pipeline.training.randomness import GeneratorStream, epoch_rows, random_generator

Camera = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""A camera's number, as rows hold it."""

Columns = dict[str, NDArray[Any]]

_Value = TypeVar("_Value", bound=np.generic)

_STREAMS = {
    "source": (GeneratorStream.SOURCE_CROPS, GeneratorStream.SOURCE_ORDER),
    "target": (GeneratorStream.TARGET_CROPS, GeneratorStream.TARGET_ORDER),
}


@dataclass(frozen=True)
class DomainData:
    """Crops of one domain, all of one size.

    ``images`` (N, H, W, 3) uint8 RGB; ``masks`` (N, H, W) bool, True on the person; ``keypoints`` (N, 17, 3) float32
    x, y (pixels), score; ``identities`` (N,) int64 class numbers, -1 where unknown; ``cameras`` (N,) int64, as the set
    numbers them, -1 where unknown. ``provenance`` (data set ids, digests, subject keys) goes into the generator's card.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_] | None = None
    keypoints: NDArray[np.float32] | None = None
    provenance: Mapping[str, Any] | None = None
    identities: NDArray[np.int64] | None = None
    cameras: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise ValueError(f"images must be (N, H, W, 3) uint8, got {self.images.shape} {self.images.dtype}")
        if self.masks is not None and self.masks.shape != self.images.shape[:3]:
            raise ValueError(f"masks must be {self.images.shape[:3]}, got {self.masks.shape}")
        if self.keypoints is not None and self.keypoints.shape != (len(self), 17, 3):
            raise ValueError(f"keypoints must be {(len(self), 17, 3)}, got {self.keypoints.shape}")
        for name, column in (("identities", self.identities), ("cameras", self.cameras)):
            if column is not None and column.shape != (len(self),):
                raise ValueError(f"{name} must be {(len(self),)}, got {column.shape}")

    def __len__(self) -> int:
        return len(self.images)

    def resized(self, height: int, width: int) -> Self:
        """The same crops, masks and keypoints at another size."""
        if self.images.shape[1:3] == (height, width):
            return self
        images = np.stack([resize(image, height, width) for image in self.images])
        masks = None if self.masks is None else np.stack([resize_mask(m, height, width) for m in self.masks])
        scale = np.array([width / self.images.shape[2], height / self.images.shape[1], 1.0], np.float32)
        keypoints = None if self.keypoints is None else self.keypoints * scale
        return replace(self, images=images, masks=masks, keypoints=keypoints)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Some of the rows, in the order asked for."""
        kept = {name: getattr(self, name) for name in ("masks", "keypoints", "identities", "cameras")}
        kept = {name: array[rows] for name, array in kept.items() if array is not None}
        return replace(self, images=self.images[rows], **kept)

    def digest(self) -> str:
        """SHA-256, hex, over shapes and bytes of all arrays: names the data in the card and in checkpoints."""
        digest = hashlib.sha256()
        for array in (self.images, self.masks, self.keypoints, self.identities, self.cameras):
            if array is not None:
                digest.update(repr((array.shape, array.dtype.str)).encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def needed(values: NDArray[_Value] | None, what: str, by: str) -> NDArray[_Value]:
    """``values`` of a training set, without which ``by`` can do nothing.

    Raises:
        UserError: they are not known; ``what`` names them.
    """
    if values is None:
        raise UserError(f"{by} needs the {what} of each image, and its training set knows none")
    return values


class Crop(NamedTuple):
    """Where one augmented sample lies in its enlarged image: top-left pixel, and whether it is mirrored."""

    top: int
    left: int
    flip: bool


def enlarged(height: int, width: int) -> tuple[int, int]:
    """The size of the images that crops of (height, width) are cut out of, pixels: 1.117 times as much."""
    return round(height * 286 / 256), round(width * 286 / 256)


def draw_crop(data: DomainData, height: int, width: int, rng: np.random.Generator, flip: bool | None = None) -> Crop:
    """A crop of (height, width) anywhere in the images of ``data``, mirrored in half of the draws or as ``flip`` says.

    ``rng`` is asked for the row, for the column and then, if need be, for the mirroring.
    """
    top = int(rng.integers(data.images.shape[1] - height + 1))
    left = int(rng.integers(data.images.shape[2] - width + 1))
    return Crop(top, left, bool(rng.random() < 0.5 if flip is None else flip))


def crop_together(data: DomainData, crops: list[Crop], height: int, width: int) -> DomainData:
    """Cut and mirror each row of ``data`` by its `Crop`: image, mask and keypoints move as one.

    Keypoints that fall outside keep their coordinates and get score 0.
    """
    images = np.stack([cut(image, crop, height, width) for image, crop in zip(data.images, crops, strict=True)])
    masks = None
    if data.masks is not None:
        masks = np.stack([cut(mask, crop, height, width) for mask, crop in zip(data.masks, crops, strict=True)])
    keypoints = None
    if data.keypoints is not None:
        moved = [_move(points, crop, height, width) for points, crop in zip(data.keypoints, crops, strict=True)]
        keypoints = np.stack(moved)
    return replace(data, images=images, masks=masks, keypoints=keypoints)


def cut(array: NDArray[Any], crop: Crop, height: int, width: int) -> NDArray[Any]:
    """The crop of one image or mask (H, W, ...)."""
    part = array[crop.top : crop.top + height, crop.left : crop.left + width]
    return part[:, ::-1] if crop.flip else part


def _move(points: NDArray[np.float32], crop: Crop, height: int, width: int) -> NDArray[np.float32]:
    moved = points - np.array([crop.left, crop.top, 0], np.float32)
    if crop.flip:
        moved[:, 0] = width - moved[:, 0]  # keypoints count from the corner of the first pixel
        moved = moved[COCO_MIRROR]
    outside = (moved[:, :2] < 0).any(axis=1) | (moved[:, :2] >= (width, height)).any(axis=1)
    moved[outside, 2] = 0
    return np.asarray(moved, dtype=np.float32)


def evenly(count: int, rows: int) -> NDArray[np.int64]:
    """Row numbers, ``count`` of them or all ``rows``, spread evenly from the first to the last."""
    return np.linspace(0, rows - 1, min(count, rows)).astype(np.int64)


class BatchSource(Protocol):
    """Where batches come from: each a function of its step, so that nothing need be remembered."""

    def batch(self, step: int, size: int) -> Columns:
        """The batch of training step ``step``: uint8 images, bool masks, numbers by column name."""

    def preview(self, count: int) -> Columns:
        """``count`` rows with the columns that the recipe's `preview` reads, always the same."""

    def digests(self) -> dict[str, str]:
        """SHA-256 of the data by role."""


class UnpairedDomains:
    """Batches of two domains that have nothing in common: column ``source`` and ``target`` and what goes with them.

    Each domain is walked through in a new random order every epoch, whatever the batch size.
    """

    def __init__(self, source: DomainData, target: DomainData, height: int, width: int, seed: int) -> None:
        self.height, self.width, self.seed = height, width, seed
        size = enlarged(height, width)
        self.domains = {"source": source.resized(*size), "target": target.resized(*size)}

    def batch(self, step: int, size: int) -> Columns:
        """The batch of training step ``step``: uint8 images, bool masks, float32 keypoints by column name."""
        columns: Columns = {}
        for name, data in self.domains.items():
            crops, order = _STREAMS[name]
            rng = random_generator(self.seed, crops, step)
            part = data.take(epoch_rows(self.seed, order, len(data), step, size))
            drawn = [draw_crop(part, self.height, self.width, rng) for _ in range(len(part))]
            columns |= _columns(name, crop_together(part, drawn, self.height, self.width))
        return columns

    def preview(self, count: int) -> Columns:
        """``count`` rows of each domain, evenly spread over it, whole and unmirrored: for pictures."""
        columns: Columns = {}
        for name, data in self.domains.items():
            columns |= _columns(name, data.take(evenly(count, len(data))).resized(self.height, self.width))
        fewest = min(len(column) for column in columns.values())
        return {name: column[:fewest] for name, column in columns.items()}

    def digests(self) -> dict[str, str]:
        return {name: data.digest() for name, data in self.domains.items()}


def _columns(name: str, data: DomainData) -> Columns:
    columns: Columns = {name: data.images}
    if data.masks is not None:
        columns[f"{name}_mask"] = data.masks
    if data.keypoints is not None:
        columns[f"{name}_keypoints"] = data.keypoints
    return columns
