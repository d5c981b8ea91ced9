"""Training samples for the small annotators: toy world crops with true masks and keypoints, in one array file.

Three fifths are domain-randomised crops (any place, pitch, light, truncation), two fifths are of the two fixed
domains of a world that no evaluation uses.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manifests.common.replacing import replacing
from manifests.errors import UserError
from pipeline.common.processes import spawned
from pipeline.common.progress import Progress
from pipeline.training.randomness import random_generator

TRAINING_SEED = 4242
EVALUATION_SEED = 2718
_CHUNK = 200
_PEOPLE = 1900


@dataclass(frozen=True)
class ToySamples:
    """``images`` (N, H, W, 3) uint8 RGB, ``masks`` (N, H, W) bool, ``keypoints`` (N, 17, 3) x, y, visibility 0-2."""

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    keypoints: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write an ``.npz`` whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, images=self.images, masks=self.masks, keypoints=self.keypoints)

    @classmethod
    def load(cls, path: Path) -> ToySamples:
        """Raises `UserError` where ``path`` holds no such arrays."""
        try:
            with np.load(path) as arrays:
                return cls(arrays["images"], arrays["masks"], arrays["keypoints"].astype(np.float32))
        except (OSError, KeyError, ValueError) as error:
            raise UserError(f"cannot read samples from {path}: {error}") from None


def training_samples(count: int, cache: Path | None = None, workers: int | None = None) -> ToySamples:
    """``count`` samples for training (rounded up to whole chunks of 200), from ``cache`` if it is there."""
    if cache is not None and cache.is_file():
        return ToySamples.load(cache)
    samples = _render([("mixed", start) for start in range(0, count, _CHUNK)], workers)
    if cache is not None:
        samples.save(cache)
    return samples


def is_varied(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the training samples, by number, are domain-randomised."""
    return np.asarray((numbers // _CHUNK) % 5 < 3, dtype=np.bool_)


def evaluation_samples(count: int = 400, workers: int | None = None) -> ToySamples:
    """``count`` samples of the two fixed domains, of people and places that training never saw."""
    return _render([("held out", start) for start in range(0, count, _CHUNK)], workers)


def _render(chunks: list[tuple[str, int]], workers: int | None) -> ToySamples:
    count = workers or len(os.sched_getaffinity(0))
    parts = []
    with spawned(_render_chunk, chunks, count) as futures, Progress("toy samples", _CHUNK * len(chunks)) as progress:
        for future in futures:
            parts.append(future.result())
            progress.advance(_CHUNK)
    return ToySamples(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _render_chunk(kind: str, start: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]:
    from pipeline.sources.toyworld import CAMERAS, ToyWorldSettings, render_sample, render_variety

    seed = TRAINING_SEED if kind == "mixed" else EVALUATION_SEED
    world = ToyWorldSettings(identities=_PEOPLE, seed=seed)
    rng = random_generator(seed, start)
    varied = kind == "mixed" and bool(is_varied(np.array(start)))
    samples = []
    for number in range(start, start + _CHUNK):
        if varied:
            samples.append(render_variety(seed, number))
            continue
        domain, cameras = list(CAMERAS.items())[number % 2]
        person, camera, draw = rng.integers(_PEOPLE) + 1, rng.integers(cameras) + 1, rng.integers(5)
        samples.append(render_sample(world, domain, int(person), int(camera), int(draw)))
    return (
        np.stack([sample.image for sample in samples]),
        np.stack([sample.mask for sample in samples]),
        np.stack([sample.keypoints for sample in samples]).astype(np.float32),
    )
