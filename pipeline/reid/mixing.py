"""How real and generated images share the batches, as the papers mix them.

LSRO (Zheng et al., ICCV 2017, section 4) puts all images into one pool; CamStyle (Zhong et al., CVPR 2018, section
3.4) takes M real and N generated ones into each batch and adds the mean loss of either.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from manifests.errors import UserError
from pipeline.common.settings import JobSettings
from pipeline.reid.batches import AugmentationSettings, Draw, LabelledBatches, Order, Shuffled
from pipeline.reid.sets import TrainingSets
from pipeline.reid.triplet import PeopleAndImages, TripletSettings
from pipeline.training.randomness import JudgeStream, SetStream, random_generator


class MixSettings(JobSettings):
    """How real and generated images share the batches."""

    mix: Literal["shuffled", "two_means"] = Field(
        default="shuffled",
        description="shuffled: one pool in which every image weighs the same (LSRO); two_means: M real and N generated "
        "images in each batch, their two mean losses added (CamStyle)",
    )
    synthetic_per_real: float | None = Field(
        default=None, gt=0, description="shuffled: at most so many generated images for each real one; LSRO's best is 2"
    )
    real_to_synthetic: float = Field(default=3.0, gt=0, description="two_means: M / N")

    @model_validator(mode="after")
    def _of_one_mix(self) -> MixSettings:
        if self.mix == "two_means" and self.synthetic_per_real is not None:
            raise UserError("--synthetic-per-real belongs to --mix shuffled: two_means takes --real-to-synthetic")
        return self


def mixed_batches(
    sets: TrainingSets,
    seed: int,
    mix: MixSettings | None = None,
    augmentation: AugmentationSettings | None = None,
    triplet: TripletSettings | None = None,
) -> LabelledBatches:
    """Batches of ``sets`` as ``mix`` says; with a ``triplet`` loss, of P people with K images each.

    Raises:
        UserError: the mix needs real or generated images that are not there, or P people are not there.
    """
    mix = mix or MixSettings()
    _check(sets, mix)
    return LabelledBatches(sets.images, seed, augmentation, _order(sets, seed, mix, triplet or TripletSettings()))


class TwoMeans:
    """The sum of two means: real rows weigh together 1, and generated rows too."""

    def __init__(self, real: Order, synthetic: Order, real_to_synthetic: float) -> None:
        self._real, self._synthetic, self._ratio = real, synthetic, real_to_synthetic

    def check(self, size: int) -> None:
        """As `pipeline.reid.batches.Order.check`."""
        self._real.check(size - self._generated(size))

    def draw(self, step: int, size: int) -> Draw:
        """As `pipeline.reid.batches.Order.draw`: the real rows first, at least one of either kind."""
        generated = self._generated(size)
        real, synthetic = self._real.draw(step, size - generated), self._synthetic.draw(step, generated)
        rows = np.concatenate([real.rows, synthetic.rows])
        return Draw(rows, np.concatenate([real.weights, synthetic.weights]))

    def _generated(self, size: int) -> int:
        return min(max(round(size / (1 + self._ratio)), 1), size - 1)


def _check(sets: TrainingSets, mix: MixSettings) -> None:
    if mix.mix == "shuffled" and mix.synthetic_per_real is None:
        return
    lacking = "real" if sets.real is None else "generated" if sets.synthetic is None else None
    if lacking:
        asked = "--mix two_means" if mix.mix == "two_means" else "--synthetic-per-real"
        raise UserError(f"{asked} mixes real and generated images, and the training sets hold no {lacking} ones")


def _order(sets: TrainingSets, seed: int, mix: MixSettings, triplet: TripletSettings) -> Order:
    real, generated = np.arange(sets.real_images), np.arange(sets.real_images, len(sets.images))
    if mix.mix == "two_means":
        synthetic = Shuffled(generated, seed, JudgeStream.GENERATED_ORDER)
        return TwoMeans(_pooled(sets, real, seed, triplet), synthetic, mix.real_to_synthetic)
    if mix.synthetic_per_real is not None:
        generated = generated[spread_choice(len(generated), round(mix.synthetic_per_real * len(real)), seed)]
    return _pooled(sets, np.concatenate([real, generated]), seed, triplet)


def _pooled(sets: TrainingSets, rows: NDArray[np.int64], seed: int, triplet: TripletSettings) -> Order:
    """``rows`` as one pool."""
    if not triplet.triplet_weight:
        return Shuffled(rows, seed)
    assert sets.images.people is not None
    return PeopleAndImages(sets.images.people, rows, triplet, seed)


def spread_choice(rows: int, most: int, seed: int) -> NDArray[np.int64]:
    """Up to ``most`` of ``rows`` row numbers (at least one), one out of each of equal stretches: of rows in the order
    of their people, everybody keeps about the same share."""
    most = max(most, 1)
    if rows <= most:
        return np.arange(rows)
    edges = np.arange(most + 1) * rows // most
    return random_generator(seed, SetStream.MIXED_IMAGES).integers(edges[:-1], edges[1:])
