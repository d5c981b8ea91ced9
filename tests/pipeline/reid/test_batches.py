"""Batches of labelled images: their order, and how each image is varied."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.reid.batches import AugmentationSettings, LabelledBatches, erase
from tests.pipeline.reid.test_training import people


def test_batches_are_functions_of_seed_and_step() -> None:
    batches, again = (LabelledBatches(people(), seed=1) for _ in range(2))
    batches.batch(0, 5)
    one, other = batches.batch(3, 5), again.batch(3, 5)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert not np.array_equal(one["image"], LabelledBatches(people(), seed=2).batch(3, 5)["image"])
    assert one["weight"].sum() == pytest.approx(1)
    # An epoch shows each image once: 12 rows, 4 of each person.
    epoch = sum(batches.batch(step, 4)["target"].sum(axis=0) for step in range(3))
    assert epoch.tolist() == [4, 4, 4]


def test_augmentation_keeps_person_and_label_together() -> None:
    data = people()
    plain = LabelledBatches(data, 1, AugmentationSettings(padding=0, flip=0, erasing=0)).batch(0, 12)
    for image, target in zip(plain["image"], plain["target"], strict=True):
        row = next(row for row in range(12) if np.array_equal(data.images[row], image))
        assert np.array_equal(data.targets[row], target)
    varied = LabelledBatches(data, 1).batch(0, 12)
    assert (varied["image"].mean(axis=(1, 2)).argmax(axis=1) == varied["target"].argmax(axis=1)).all()
    mirrored = LabelledBatches(data, 1, AugmentationSettings(padding=0, flip=1, erasing=0)).batch(0, 12)
    assert np.array_equal(mirrored["image"], plain["image"][:, :, ::-1])


def test_erasing_paints_one_rectangle_of_the_asked_size() -> None:
    rng = np.random.Generator(np.random.Philox(5))
    shares = []
    for _ in range(50):
        image = np.zeros((64, 32, 3), np.uint8)
        erase(image, rng)
        rows, columns = np.nonzero(image[..., 0])
        assert (image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] > 0).all()
        shares.append(len(rows) / (64 * 32))
    assert 0.01 < min(shares) < 0.1
    assert 0.3 < max(shares) < 0.42
