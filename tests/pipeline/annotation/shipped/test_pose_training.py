"""Training of the pose model: labels by agreement, augmentation that moves joints, steps that can be resumed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from manifests.errors import UserError
from pipeline.annotation.shipped.pose_augmentation import augment
from pipeline.annotation.shipped.pose_data import (
    ABSENT,
    SEEN,
    UNKNOWN,
    PoseCrops,
    RealCrop,
    as_training_crops,
    consensus,
    load_crops,
    load_pseudo_labels,
    save_crops,
)
from pipeline.annotation.shipped.pose_training import PoseTrainer, PoseTrainingSettings
from pipeline.common.finite import NotFiniteError
from pipeline.common.keypoints import COCO_MIRROR
from pipeline.training.log import total
from pipeline.training.state import Checkpoints
from tests.pipeline.spoiled import spoiled


def marked_crops(count: int = 6) -> PoseCrops:
    """Black crops with a white spot around each joint, all seen."""
    rng = np.random.default_rng(0)
    images = np.zeros((count, 128, 64, 3), np.uint8)
    points = rng.uniform((4, 6), (60, 122), (count, 17, 2)).astype(np.float32)
    for image, joints in zip(images, points, strict=True):
        for x, y in joints:
            cv2.circle(image, (int(x), int(y)), 2, (255, 255, 255), -1)
    return PoseCrops(images, np.concatenate([points, np.full((count, 17, 1), SEEN, np.float32)], axis=2))


def test_teachers_that_agree_are_averaged_and_others_ignored() -> None:
    opinions = np.zeros((3, 17, 3), np.float32)
    opinions[:, :, :2] = (20, 50)
    opinions[0, 0, :2], opinions[1, 0, :2], opinions[2, 0, :2] = (10, 10), (12, 10), (40, 90)
    opinions[0, 1, :2], opinions[1, 1, :2], opinions[2, 1, :2] = (10, 10), (30, 50), (50, 90)
    opinions[:, 2, :2] = (-3, 40)
    label = consensus(opinions, 100, 50)
    np.testing.assert_allclose(label[0], [11, 10, SEEN])
    assert label[1, 2] == UNKNOWN
    assert label[2, 2] == UNKNOWN
    np.testing.assert_allclose(label[3:], [[20, 50, SEEN]] * 14)


def test_joints_move_with_their_pixels() -> None:
    crops = marked_crops(40)
    changed = augment(crops, np.arange(40), np.random.Generator(np.random.Philox(5)))
    state = changed.keypoints[..., 2]
    x, y = changed.keypoints[..., 0].astype(int), changed.keypoints[..., 1].astype(int)
    light = changed.images.max(axis=3).astype(int)
    dark = np.median(light, axis=(1, 2))
    contrast = light.max(axis=(1, 2)) - dark
    level = [
        (light[i, y[i, k], x[i, k]] - dark[i]) / contrast[i] for i, k in zip(*np.nonzero(state == SEEN), strict=True)
    ]
    assert np.mean(np.array(level) > 0.3) > 0.95
    assert np.mean(light > (dark + 0.3 * contrast)[:, None, None]) < 0.35  # while most of each crop is dark
    assert (state == ABSENT).any()
    inside = (changed.keypoints[..., :2] >= 0).all(-1) & (changed.keypoints[..., :2] < (64, 128)).all(-1)
    assert inside[state > ABSENT].all()


def test_a_mirrored_person_has_its_left_on_the_other_side() -> None:
    assert (COCO_MIRROR[COCO_MIRROR] == np.arange(17)).all()
    crops = marked_crops(1)
    crops.keypoints[0, :, 0] = np.where(np.arange(17) % 2 == 1, 50, 14)  # odd numbers are the left side
    crops.keypoints[0, 0, 0] = 32
    rng = np.random.Generator(np.random.Philox(1))
    for _ in range(20):
        joints = augment(crops, np.zeros(1, np.int64), rng).keypoints[0]
        left, right = joints[1::2, 0].mean(), joints[2::2, 0].mean()
        assert left > right  # never the wrong way round: mirroring swaps names and places at once


def test_real_crops_are_fitted_with_their_labels() -> None:
    image = np.zeros((300, 90, 3), np.uint8)
    cv2.circle(image, (45, 150), 9, (255, 0, 0), -1)
    keypoints = np.full((17, 3), (45, 150, SEEN), np.float32)
    fitted = as_training_crops([RealCrop(image, keypoints)])
    x, y, _ = fitted.keypoints[0, 0]
    assert fitted.images[0, int(y), int(x), 0] > 200
    np.testing.assert_allclose([x, y], [32, 64], atol=0.5)


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    toy = marked_crops(8)
    settings = PoseTrainingSettings(steps=2, batch=2, save_every=1, warm_up=1, precision="float32")
    whole = PoseTrainer(settings, toy, toy)
    whole.run(tmp_path / "whole", {"seed": 0})
    half = PoseTrainer(settings, toy, toy)
    half.train_step()
    half.keep(Checkpoints(tmp_path / "half", {"seed": 0}, inside="", key="run"))
    resumed = PoseTrainer(settings, toy, toy)
    resumed.run(tmp_path / "half", {"seed": 0})
    assert (whole.step, resumed.step) == (2, 2)
    for name, tensor in whole.weights().items():
        assert torch.equal(tensor, resumed.weights()[name]), name
    with pytest.raises(UserError, match="was started with seed=0, now it is 1"):
        PoseTrainer(settings, toy, None).run(tmp_path / "half", {"seed": 1})


def test_the_loss_of_a_few_crops_falls() -> None:
    toy = marked_crops(4)
    trainer = PoseTrainer(PoseTrainingSettings(steps=60, batch=4, warm_up=2, precision="float32"), toy, None)
    losses = [float(total(trainer.train_step()).detach()) for _ in range(60)]
    assert np.mean(losses[-15:]) < 0.95 * np.mean(losses[:15])


def test_caches_and_labels_are_checked(tmp_path: Path) -> None:
    crops = marked_crops(3)
    save_crops(crops, tmp_path / "crops.npz")
    again = load_crops(tmp_path / "crops.npz")
    np.testing.assert_array_equal(again.images, crops.images)
    np.testing.assert_array_equal(again.keypoints, crops.keypoints)
    with pytest.raises(UserError, match=r"must be an \.npz with the arrays files, keypoints"):
        load_pseudo_labels(tmp_path / "crops.npz")
    with pytest.raises(UserError, match="cannot read"):
        load_crops(tmp_path / "none.npz")
    np.savez(tmp_path / "labels.npz", files=np.array(["a.jpg"]), keypoints=np.zeros((1, 1, 17, 3)))
    with pytest.raises(UserError, match=r"expected \(1, 2 or more, 17, 3\)"):
        load_pseudo_labels(tmp_path / "labels.npz")


def test_a_training_that_diverges_stops(tmp_path: Path) -> None:
    toy = marked_crops(4)
    trainer = PoseTrainer(PoseTrainingSettings(steps=3, batch=2, save_every=1, precision="float32"), toy, None)
    trainer.run(tmp_path, {})
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = PoseTrainer(PoseTrainingSettings(steps=4, batch=2, save_every=1, precision="float32"), toy, None)
    again.step, again.watch.kept = 3, Checkpoints(tmp_path, {}, inside="")
    spoiled(again.model)
    with pytest.raises(NotFiniteError, match=r"at step 4: the loss term 'pose' is not finite; [^\n]*step_000000003"):
        again.train_step()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept
