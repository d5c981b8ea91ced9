"""What `pose_tiny` learns from: drawn people with exact joints, and real crops on which teachers agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from manifests.common.replacing import replacing
from manifests.errors import UserError
from pipeline.annotation.poses import letterbox
from pipeline.common.images import RgbImage, decode
from pipeline.common.processes import spawned
from pipeline.common.progress import Progress
from pipeline.sources.toyworld import CAMERAS, ToyWorldSettings, render_sample, render_variety

HEIGHT, WIDTH = 128, 64
UNKNOWN, ABSENT, HIDDEN, SEEN = -1, 0, 1, 2
"""States of a joint: nothing is known, outside of the picture, hidden behind something, seen."""
DOMAINS = ("market-like", "duke-like")
_TRAINING_IDENTITIES = 2000
_PART = 100


@dataclass(frozen=True)
class PoseCrops:
    """Crops of one size: images ``(N, 128, 64, 3)`` uint8 RGB; keypoints ``(N, 17, 3)`` float32, x, y in pixels of
    the crop and a state (`UNKNOWN` ... `SEEN`)."""

    images: NDArray[np.uint8]
    keypoints: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)


def render_crops(count: int, seed: int, workers: int) -> PoseCrops:
    """``count`` drawn crops for training: three of five from random places, the others from the two domains."""
    parts = [(seed, start, min(start + _PART, count)) for start in range(0, count, _PART)]
    with spawned(_render_part, parts, workers) as futures, Progress("draw", count) as progress:
        drawn = []
        for future in futures:
            drawn.append(future.result())
            progress.advance(len(drawn[-1]))
    return PoseCrops(np.concatenate([one.images for one in drawn]), np.concatenate([one.keypoints for one in drawn]))


def _render_part(seed: int, start: int, stop: int) -> PoseCrops:
    settings = ToyWorldSettings(identities=_TRAINING_IDENTITIES, seed=seed)
    samples = []
    for number in range(start, stop):
        if number // _PART % 5 < 3:
            samples.append(render_variety(seed, number))
            continue
        rng = np.random.Generator(np.random.Philox(key=[seed, number]))
        domain = DOMAINS[number % 2]
        identity, camera = int(rng.integers(1, _TRAINING_IDENTITIES)), int(rng.integers(1, CAMERAS[domain] + 1))
        samples.append(render_sample(settings, domain, identity, camera, int(rng.integers(0, 5))))
    return PoseCrops(np.stack([sample.image for sample in samples]), np.stack([sample.keypoints for sample in samples]))


def save_crops(crops: PoseCrops, path: Path) -> None:
    """Write a cache that `load_crops` reads: a whole file or none."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, images=crops.images, keypoints=crops.keypoints)


def load_crops(path: Path) -> PoseCrops:
    """The cache in ``path``. Raises UserError if it is not there or holds something else."""
    found = _read_npz(path, ("images", "keypoints"))
    crops = PoseCrops(found["images"].astype(np.uint8, copy=False), found["keypoints"].astype(np.float32))
    if crops.images.shape[1:] != (HEIGHT, WIDTH, 3) or crops.keypoints.shape != (len(crops), 17, 3):
        raise UserError(f"{path} holds images of shape {crops.images.shape}; expected (N, {HEIGHT}, {WIDTH}, 3)")
    return crops


@dataclass(frozen=True)
class LabelledFiles:
    """Real crops on disk with what teachers say: ``files`` below a folder, ``opinions`` ``(N, T, 17, 3)`` float32:
    one row of x, y (pixels of the crop) and score for each of T teachers."""

    files: list[str]
    opinions: NDArray[np.float32]


def load_pseudo_labels(path: Path) -> LabelledFiles:
    """An ``.npz`` with ``files`` (N) and ``keypoints`` (N, T, 17, 3). Raises UserError if it holds something else."""
    found = _read_npz(path, ("files", "keypoints"))
    files, opinions = [str(file) for file in found["files"]], found["keypoints"].astype(np.float32)
    if opinions.ndim != 4 or opinions.shape[0] != len(files) or opinions.shape[2:] != (17, 3) or opinions.shape[1] < 2:
        raise UserError(f"{path}: keypoints have the shape {opinions.shape}; expected ({len(files)}, 2 or more, 17, 3)")
    return LabelledFiles(files, opinions)


def consensus(
    opinions: NDArray[np.float32], height: float, width: float, tolerance: float = 0.05
) -> NDArray[np.float32]:
    """What the teachers agree on in one crop: ``(17, 3)`` x, y and `SEEN` or `UNKNOWN`.

    ``opinions`` is ``(T, 17, 3)``. A joint is known where the two closest teachers differ by less than ``tolerance``
    of the crop's height and their mean lies in the crop; the label is the mean of all that lie as close to it.
    """
    points = opinions[..., :2]
    first, second = np.triu_indices(len(points), 1)
    apart = np.linalg.norm(points[first] - points[second], axis=-1)
    closest = apart.argmin(axis=0)
    joints = np.arange(points.shape[1])
    middle = (points[first[closest], joints] + points[second[closest], joints]) / 2
    near = np.linalg.norm(points - middle, axis=-1) < tolerance * height
    mean = (points * near[..., None]).sum(axis=0) / np.maximum(near.sum(axis=0), 1)[:, None]
    inside = (mean >= 0).all(axis=-1) & (mean < (width, height)).all(axis=-1)
    known = (apart.min(axis=0) < tolerance * height) & inside
    return np.concatenate([mean, np.where(known, SEEN, UNKNOWN)[:, None]], axis=1).astype(np.float32)


@dataclass(frozen=True)
class RealCrop:
    """One real crop at its own size, with the teachers' consensus."""

    image: RgbImage
    keypoints: NDArray[np.float32]


def read_real_crops(root: Path, labels: LabelledFiles) -> list[RealCrop]:
    """The images of ``labels`` below ``root`` with their consensus. Raises UserError if one is missing."""
    crops = []
    for file, opinions in zip(labels.files, labels.opinions, strict=True):
        try:
            image = decode((root / file).read_bytes())
        except OSError as error:
            raise UserError(f"cannot read the crop {root / file}: {error.strerror}") from None
        crops.append(RealCrop(image, consensus(opinions, *image.shape[:2])))
    return crops


def as_training_crops(crops: Sequence[RealCrop]) -> PoseCrops:
    """Real crops at the size of training."""
    images = np.zeros((len(crops), HEIGHT, WIDTH, 3), np.uint8)
    keypoints = np.zeros((len(crops), 17, 3), np.float32)
    for index, crop in enumerate(crops):
        images[index], box = letterbox(crop.image, HEIGHT, WIDTH)
        keypoints[index, :, :2] = box.to_input(crop.keypoints[:, :2])
        keypoints[index, :, 2] = crop.keypoints[:, 2]
    return PoseCrops(images, keypoints)


def _read_npz(path: Path, names: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (KeyError, ValueError, BadZipFile) as error:
        raise UserError(f"{path} must be an .npz with the arrays {', '.join(names)}: {error}") from None
