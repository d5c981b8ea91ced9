"""Training batches of labelled images: in which order, and how each image is varied; functions of their step."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from manifests.format.soft_labels import NO_LABEL
from pipeline.common.settings import Advanced, JobSettings
from pipeline.reid.sets import LabelledImages
from pipeline.training.data import Columns, Crop, DomainData, crop_together
from pipeline.training.randomness import JudgeStream, epoch_rows, random_generator


class AugmentationSettings(JobSettings):
    """How training images are varied."""

    group = "augmentation"
    padding: Advanced[float] = Field(
        default=10 / 256, ge=0, lt=0.5, description="black border before the random crop, as a share of the height"
    )
    flip: Advanced[float] = Field(default=0.5, ge=0, le=1, description="share of images that are mirrored")
    erasing: Advanced[float] = Field(
        default=0.5, ge=0, le=1, description="share of images with a rectangle erased (Zhong et al., AAAI 2020)"
    )
    erased_most: Advanced[float] = Field(
        default=0.4, gt=0.02, le=1, description="largest erased share of an image; smallest 0.02"
    )


class ReidBatches(Protocol):
    """Where training batches come from: each a function of its step."""

    def batch(self, step: int, size: int) -> Columns:
        """``image`` (N, H, W, 3) uint8; ``target`` (N, K) float32; ``weight`` (N,) float32: the loss is the sum of
        the rows' cross-entropies times their weights; ``person`` (N,) int32, -1 for nobody in particular;
        ``generated`` (N,) int32, 1 for a generated image, which come after the real ones where the mix is of both."""

    def check(self, size: int, workers: int = 1) -> None:
        """Raises UserError where batches of ``size`` cannot be drawn, or not be shared by so many workers."""

    def digest(self) -> str:
        """SHA-256 of the data."""


class Draw(NamedTuple):
    """Row numbers (N,) int64 and what each row weighs (N,) float32."""

    rows: NDArray[np.int64]
    weights: NDArray[np.float32]


class Order(Protocol):
    """Which rows a step sees: a function of the step."""

    def check(self, size: int, workers: int = 1) -> None:
        """Raises UserError where batches of ``size`` cannot be drawn, or not be shared by so many workers."""

    def draw(self, step: int, size: int) -> Draw:
        """The rows of a ``--batch-size`` and their weights: as many, or more where a mix puts some on top."""


class Shuffled:
    """``rows`` in a new random order every epoch; every row weighs the same, together 1."""

    def __init__(self, rows: NDArray[np.int64], seed: int, stream: JudgeStream = JudgeStream.REID_ORDER) -> None:
        """Orders of one seed are independent where their ``stream`` differs."""
        self.rows, self.seed, self._stream = rows, seed, stream

    def check(self, size: int, workers: int = 1) -> None:
        """As `Order.check`: any will do."""

    def draw(self, step: int, size: int) -> Draw:
        """As `Order.draw`."""
        places = epoch_rows(self.seed, self._stream, len(self.rows), step, size)
        return Draw(self.rows[places], np.full(size, 1 / size, np.float32))


class LabelledBatches:
    """Augmented batches of labelled images, by default `Shuffled`."""

    def __init__(
        self,
        data: LabelledImages,
        seed: int,
        settings: AugmentationSettings | None = None,
        order: Order | None = None,
        real_images: int | None = None,
    ) -> None:
        """The first ``real_images`` of ``data`` are real, by default all."""
        self.data, self.seed = data, seed
        self._real = len(data) if real_images is None else real_images
        self.settings = settings or AugmentationSettings()
        self.order = order or Shuffled(np.arange(len(data)), seed)
        self._people = np.full(len(data), NO_LABEL, np.int32) if data.people is None else data.people

    def check(self, size: int, workers: int = 1) -> None:
        """As `ReidBatches.check`."""
        self.order.check(size, workers)

    def batch(self, step: int, size: int) -> Columns:
        """As `ReidBatches.batch`."""
        rng = random_generator(self.seed, JudgeStream.REID_CROPS, step)
        rows, weights = self.order.draw(step, size)
        images = self._crop(rows, rng)
        for image in images:
            if rng.random() < self.settings.erasing:
                erase(image, rng, self.settings.erased_most)
        labels = {"target": self.data.targets[rows], "person": self._people[rows]}
        return {"image": images, **labels, "weight": weights, "generated": (rows >= self._real).astype(np.int32)}

    def digest(self) -> str:
        return self.data.digest()

    def _crop(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.uint8]:
        height, width = self.data.images.shape[1:3]
        border = round(height * self.settings.padding)
        padded = np.pad(self.data.images[rows], ((0, 0), (border, border), (border, border), (0, 0)))
        places = rng.integers(2 * border + 1, size=(len(rows), 2))
        flips = rng.random(len(rows)) < self.settings.flip
        crops = [Crop(int(top), int(left), bool(flip)) for (top, left), flip in zip(places, flips, strict=True)]
        return crop_together(DomainData(padded), crops, height, width).images


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
