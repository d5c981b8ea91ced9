"""The triplet loss by hand, and batches of P people with K images each."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap
from pipeline.reid.batches import AugmentationSettings
from pipeline.reid.mixing import MixSettings, mixed_batches
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.sets import LabelledImages, TrainingSets
from pipeline.reid.training import ReidTraining, ReidTrainingSettings
from pipeline.reid.triplet import TripletSettings, batch_hard
from tests.pipeline.reid.mixing.test_batches import rows, sets

PLAIN = AugmentationSettings(padding=0, flip=0, erasing=0)


def pairs(people: int = 2, images: int = 3, **more: float) -> TripletSettings:
    settings = {"triplet_weight": 1.0, "identities_per_batch": people, "images_per_identity": images, **more}
    return TripletSettings.model_validate(settings)


def test_batch_hard_by_hand() -> None:
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [9.0, 9.0]], requires_grad=True)
    people = torch.tensor([0, 0, 1, 1, -1])
    anchors = [
        (5, 1),  # the first: its own at 5, the nearest other at 1
        (5, math.sqrt(3**2 + 2**2)),
        (math.sqrt(5), 1),
        (math.sqrt(5), 2),
    ]
    expected = sum(max(0, 0.3 + own - other) for own, other in anchors) / 4
    loss = batch_hard(points, people, 0.3)
    assert float(loss.detach()) == pytest.approx(expected)
    loss.backward()
    assert points.grad is not None
    assert points.grad[:4].abs().sum(dim=1).min() > 0
    assert not points.grad[4].any(), "an image of nobody takes no part"


@pytest.mark.parametrize("people", [[0, 0, 0], [0, 1, 2], [-1, -1, -1], [0, -1, -1]])
def test_without_a_triplet_the_loss_is_nothing(people: list[int]) -> None:
    points = torch.ones(3, 2, requires_grad=True)
    loss = batch_hard(points, torch.tensor(people), 0.3)
    loss.backward()
    assert float(loss.detach()) == 0
    assert points.grad is not None
    assert not points.grad.any()


def test_equal_features_give_the_margin_and_no_broken_gradient() -> None:
    points = torch.ones(4, 2, requires_grad=True)
    loss = batch_hard(points, torch.tensor([0, 0, 1, 1]), 0.3)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.3)
    assert points.grad is not None
    assert points.grad.isfinite().all()


def test_a_batch_holds_so_many_people_with_so_many_images() -> None:
    data = sets(12, 0, people=4)
    batches = mixed_batches(data, 1, None, PLAIN, pairs(2, 3))
    seen: set[int] = set()
    for step in range(4):
        batch = batches.batch(step, 6)
        assert sorted(Counter(batch["person"].tolist()).values()) == [3, 3]
        assert batch["weight"] == pytest.approx(np.full(6, 1 / 6))
        seen |= set(rows(batch))
    assert seen == set(range(12))
    again = mixed_batches(data, 1, None, PLAIN, pairs(2, 3))
    assert rows(again.batch(3, 6)) == rows(batches.batch(3, 6))


def test_images_of_nobody_fill_the_batch() -> None:
    batches = mixed_batches(sets(12, 5, people=4), 1, None, PLAIN, pairs(2, 3))
    batches.check(8)
    drawn = [batches.batch(step, 8) for step in range(5)]
    assert all((batch["person"][6:] == -1).all() for batch in drawn)
    assert [sum(rows(batch).count(row) for batch in drawn) for row in range(12, 17)] == [2] * 5
    with pytest.raises(UserError, match="no room for images of nobody"):
        batches.check(6)


def test_of_two_means_the_real_images_are_people_with_images_each() -> None:
    batches = mixed_batches(sets(12, 5, people=4), 1, MixSettings(mix="two_means"), PLAIN, pairs(2, 3))
    batches.check(8)
    batch = batches.batch(0, 8)
    assert sorted(Counter(batch["person"].tolist()).values()) == [2, 3, 3]
    assert batch["weight"] == pytest.approx([1 / 6] * 6 + [1 / 2] * 2)
    with pytest.raises(UserError, match="is 6, and --batch-size leaves 9 images"):
        batches.check(12)


def test_every_stage_needs_room_for_its_people() -> None:
    mix = MixSettings(mix="two_means", synthetic_from=0.5, synthetic_batch="additive")
    mixed_batches(sets(12, 5, people=4), 1, mix, PLAIN, pairs(2, 3), steps=4).check(6)
    within = MixSettings(mix="two_means", synthetic_from=0.5)
    with pytest.raises(UserError, match=r"^in the stage from step 0 on: .* is 6, and --batch-size leaves 8 images"):
        mixed_batches(sets(12, 5, people=4), 1, within, PLAIN, pairs(2, 3), steps=4).check(8)


def test_mistakes_are_one_line() -> None:
    with pytest.raises(UserError, match="--identities-per-batch 5 of the 4 people"):
        mixed_batches(sets(12, 0, people=4), 1, None, PLAIN, pairs(5, 3))
    with pytest.raises(UserError, match="of the 0 people whose images are there together: leave --triplet-weight out"):
        mixed_batches(sets(12, 5, people=4), 1, MixSettings(real_from=0.5), PLAIN, pairs(2, 3), steps=4)
    for name, value in (("margin", 0.1), ("identities_per_batch", 4), ("images_per_identity", 2)):
        with pytest.raises(UserError, match=f"--{name.replace('_', '-')} is of the triplet loss, which is off: add"):
            TripletSettings.model_validate({name: value})
    batches = mixed_batches(sets(12, 0, people=4), 1, None, PLAIN, pairs(2, 3))
    with pytest.raises(UserError, match="is 6, and --batch-size leaves 8 images"):
        ReidTraining(build_network(NetworkSettings(channels=4), 4), batches, ReidTrainingSettings(batch_size=8))


def test_training_with_it_brings_people_together() -> None:
    """Cross-entropy is kept out of it by labels that say nothing."""
    rng = np.random.Generator(np.random.Philox(0))
    images = rng.integers(0, 90, (12, 32, 16, 3), dtype=np.uint8)
    numbers = (np.arange(12) % 3).astype(np.int32)
    images[np.arange(12), ..., numbers] += 120
    data = LabelledImages(images, np.full((12, 3), 1 / 3, np.float32), numbers)
    triplet = pairs(3, 4)
    batches = mixed_batches(TrainingSets(data, 12, ClassMap(("a", "b", "c")), {}), 1, None, PLAIN, triplet)
    settings = ReidTrainingSettings(steps=25, batch_size=12, precision="float32", warm_up=0.0)
    training = ReidTraining(build_network(NetworkSettings(channels=4), 3, seed=1), batches, settings, triplet)
    terms = [training.train_step() for _ in range(25)]
    assert float(terms[0]["triplet"].detach()) > 0.25
    assert float(terms[-1]["triplet"].detach()) < 0.1
    assert float(terms[0]["cross_entropy"].detach()) == pytest.approx(math.log(3), abs=1e-3)
