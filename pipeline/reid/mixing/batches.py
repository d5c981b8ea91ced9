"""Batches of real and generated images, as the papers mix them.

LSRO (Zheng et al., ICCV 2017, section 4) puts all images into one pool; CamStyle (Zhong et al., CVPR 2018, section
3.4) takes M real and N generated ones into each batch and adds the mean loss of either.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.soft_labels import NO_LABEL
from pipeline.reid.batches import AugmentationSettings, LabelledBatches, Order, Shuffled
from pipeline.reid.mixing.orders import Staged, TwoMeans, Weighed
from pipeline.reid.mixing.settings import MixSettings, Stage
from pipeline.reid.sets import TrainingSets
from pipeline.reid.triplet import PeopleAndImages, TripletSettings
from pipeline.training.randomness import JudgeStream, SetStream, random_generator


def mixed_batches(
    sets: TrainingSets,
    seed: int,
    mix: MixSettings | None = None,
    augmentation: AugmentationSettings | None = None,
    triplet: TripletSettings | None = None,
    steps: int = 1,
) -> LabelledBatches:
    """Batches of ``sets`` as ``mix`` says; with a ``triplet`` loss, of P people with K images each.

    ``steps`` are those of the whole training, which the shares of ``mix`` are of.

    Raises:
        UserError: the mix needs real or generated images that are not there, or P people are not there, or a share of
            so few steps is none.
    """
    mix = mix or MixSettings()
    _check(sets, mix)
    order = _order(sets, seed, mix, triplet or TripletSettings(), steps)
    return LabelledBatches(sets.images, seed, augmentation, order, sets.real_images)


def _check(sets: TrainingSets, mix: MixSettings) -> None:
    asked = _needs_both(mix)
    lacking = "real" if sets.real is None else "generated" if sets.synthetic is None else None
    if asked and lacking:
        raise UserError(f"{asked} mixes real and generated images, and the training sets hold no {lacking} ones")
    people = sets.images.people
    if mix.nobody_labels == "mprl" and people is not None and (people[sets.real_images :] != NO_LABEL).all():
        raise UserError("--nobody-labels mprl is for generated images of nobody, and all of them show somebody")


def _needs_both(mix: MixSettings) -> str | None:
    """The first flag that says nothing of one kind of images alone."""
    asked = {
        "--mix two_means": mix.mix == "two_means",
        "--synthetic-per-real": mix.synthetic_per_real is not None,
        "--synthetic-weight": mix.synthetic_weight is not None,
        "--nobody-labels mprl": mix.nobody_labels == "mprl",
        "--synthetic-from": mix.start > 0,
        "--synthetic-until": mix.synthetic_until < 1,
        "--real-from": mix.real_from > 0,
    }
    return next((flag for flag, given in asked.items() if given), None)


def _order(sets: TrainingSets, seed: int, mix: MixSettings, triplet: TripletSettings, steps: int) -> Order:
    stages = mix.stages(steps)
    left = {
        "real images": any(stage.real for stage in stages),
        "generated images": any(stage.generated for stage in stages),
        "both kinds of images": not mix.of_both or any(stage.real and stage.generated for stage in stages),
    }
    for kind, there in left.items():
        if mix.staged and not there:
            raise UserError(f"--steps {steps} are too few for these shares: none is left with {kind}")
    orders = [_stage_order(sets, seed, mix, triplet, stage) for stage in stages]
    return orders[0] if len(orders) == 1 else Staged([stage.end for stage in stages[:-1]], orders)


def _stage_order(sets: TrainingSets, seed: int, mix: MixSettings, triplet: TripletSettings, stage: Stage) -> Order:
    real, generated = np.arange(sets.real_images), np.arange(sets.real_images, len(sets.images))
    if mix.synthetic_per_real is not None:
        generated = generated[spread_choice(len(generated), round(mix.synthetic_per_real * len(real)), seed)]
    both = stage.real and stage.generated
    if both and mix.mix == "two_means":
        synthetic = Shuffled(generated, seed, JudgeStream.GENERATED_ORDER)
        order: Order = TwoMeans(_pooled(sets, real, seed, triplet), synthetic, mix)
    else:
        taking_part = [rows for rows, there in ((real, stage.real), (generated, stage.generated)) if there]
        order = _pooled(sets, np.concatenate(taking_part), seed, triplet)
    weights = sets.images.weights
    if both and mix.weight is not None:
        weights = np.ones(len(sets.images), np.float32) if weights is None else weights.copy()
        weights[sets.real_images :] *= mix.weight
    return order if weights is None else Weighed(order, weights)


def _pooled(sets: TrainingSets, rows: NDArray[np.int64], seed: int, triplet: TripletSettings) -> Order:
    """``rows`` as one pool."""
    if not triplet.triplet_weight:
        return Shuffled(rows, seed)
    return PeopleAndImages(sets.images.known_people, rows, triplet, seed)


def spread_choice(rows: int, most: int, seed: int) -> NDArray[np.int64]:
    """Up to ``most`` of ``rows`` row numbers (at least one), one out of each of equal stretches: of rows in the order
    of their people, everybody keeps about the same share."""
    most = max(most, 1)
    if rows <= most:
        return np.arange(rows)
    edges = np.arange(most + 1) * rows // most
    return random_generator(seed, SetStream.MIXED_IMAGES).integers(edges[:-1], edges[1:])
