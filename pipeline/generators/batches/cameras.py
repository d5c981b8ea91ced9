"""One training set seen by many cameras: split into one set a camera, or in batches that ask for another camera."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from pipeline.generators.batches.crops import TrainingCrops
from pipeline.training.data import Columns, DomainData, needed
from pipeline.training.randomness import GeneratorStream, random_generator


def split_by_camera(data: DomainData) -> dict[int, DomainData]:
    """The images of each camera by its number, in ascending order; images without a camera are left out."""
    if data.cameras is None:
        return {}
    numbers = np.unique(data.cameras[data.cameras >= 0])
    return {int(number): data.take(np.flatnonzero(data.cameras == number)) for number in numbers}


def camera_pairs(cameras: list[int]) -> list[tuple[int, int]]:
    """Every two of ``cameras``, the smaller number first."""
    return list(combinations(sorted(set(cameras)), 2))


class CameraBatches:
    """Batches of one set: ``source`` images, ``camera`` (index of their own) and ``target_camera`` (another one's,
    all others equally likely), and ``mask`` where ``masks`` are wanted."""

    def __init__(
        self, data: DomainData, cameras: tuple[int, ...], height: int, width: int, seed: int, masks: bool = False
    ) -> None:
        self.cameras, self.seed = cameras, seed
        own = needed(data.cameras, "camera", "moving between cameras")
        conditions = {"camera": np.searchsorted(cameras, own)}
        self._crops = TrainingCrops(data, height, width, seed, conditions, masks)

    def batch(self, step: int, size: int) -> Columns:
        columns = self._crops.batch(step, size)
        move = random_generator(self.seed, GeneratorStream.CAMERAS, step).integers(1, len(self.cameras), size=size)
        return self._named(columns, move)

    def preview(self, count: int) -> Columns:
        columns = self._crops.preview(count)
        return self._named(columns, np.ones(len(columns["image"]), np.int64))

    def digests(self) -> dict[str, str]:
        return self._crops.digests()

    def _named(self, columns: Columns, move: np.ndarray) -> Columns:
        own = columns["camera"]
        target = (own + move) % len(self.cameras)
        named = {"source": columns["image"], "camera": own, "target_camera": target.astype(np.int64)}
        return named | ({"mask": columns["mask"]} if "mask" in columns else {})
