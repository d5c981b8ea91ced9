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
from pipeline.reid.batches import AugmentationSettings, Draw, LabelledBatches, Order, Shuffled
from pipeline.reid.sets import TrainingSets
from pipeline.settings import JobSettings
from pipeline.training_data import random_generator

_CHOICE_STREAM = 403


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
) -> LabelledBatches:
    """Batches of ``sets`` as ``mix`` says.

    Raises:
        UserError: the mix needs real or generated images that are not there.
    """
    return LabelledBatches(sets.images, seed, augmentation, _order(sets, seed, mix or MixSettings()))


class TwoMeans:
    """The sum of two means: real rows weigh together 1, and generated rows too."""

    def __init__(self, real: Order, synthetic: Order, real_to_synthetic: float) -> None:
        self._real, self._synthetic, self._ratio = real, synthetic, real_to_synthetic

    def draw(self, step: int, size: int) -> Draw:
        """As `pipeline.reid.batches.Order.draw`: the real rows first, at least one of either kind."""
        generated = min(max(round(size / (1 + self._ratio)), 1), size - 1)
        real, synthetic = self._real.draw(step, size - generated), self._synthetic.draw(step, generated)
        rows = np.concatenate([real.rows, synthetic.rows])
        return Draw(rows, np.concatenate([real.weights, synthetic.weights]))


def _order(sets: TrainingSets, seed: int, mix: MixSettings) -> Order:
    total, real = len(sets.images), sets.real_images
    asked = "--mix two_means" if mix.mix == "two_means" else "--synthetic-per-real"
    if mix.mix == "two_means" or mix.synthetic_per_real is not None:
        lacking = "real" if not real else "generated" if real == total else None
        if lacking:
            raise UserError(f"{asked} mixes real and generated images, and the training sets hold no {lacking} ones")
    if mix.mix == "two_means":
        generated = Shuffled(np.arange(real, total), seed, stream=1)
        return TwoMeans(Shuffled(np.arange(real), seed), generated, mix.real_to_synthetic)
    most = total - real if mix.synthetic_per_real is None else round(mix.synthetic_per_real * real)
    return Shuffled(np.concatenate([np.arange(real), real + spread_choice(total - real, most, seed)]), seed)


def spread_choice(rows: int, most: int, seed: int) -> NDArray[np.int64]:
    """At most ``most`` (one or more) of ``rows`` row numbers, one out of each of equal stretches: of rows in the order
    of their people, everybody keeps about the same share."""
    if rows <= most:
        return np.arange(rows)
    edges = np.arange(most + 1) * rows // most
    return random_generator(seed, _CHOICE_STREAM).integers(edges[:-1], edges[1:])
