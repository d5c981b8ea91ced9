"""Canonical poses: found again, whatever the order, place and size; joints nobody saw do not count."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from manifests.errors import UserError
from pipeline.annotation.canonical_poses import fit_canonical_poses, place_pose, pose_classes, pose_distances

HEIGHT, WIDTH = 128, 64
Keypoints = NDArray[np.float32]


def standing(facing: float = 1.0, stride: float = 0.0, arm: float = 0.0) -> Keypoints:
    """(17, 3): ``facing`` 1 is towards us, -1 away; ``stride`` and ``arm`` move legs and left arm in pixels."""
    side = np.array([0, 1, -1, 3, -3, 11, -11, 14, -14, 15, -15, 6, -6, 7, -7, 7, -7]) * facing
    y = np.array([18, 15, 15, 17, 17, 31, 31, 49, 49, 66, 65, 64, 64, 90, 90, 115, 115], np.float64)
    x = 32.0 + side
    x[[13, 15]] += np.array([stride / 2, stride])
    x[[14, 16]] -= np.array([stride / 2, stride])
    x[[7, 9]] += np.array([arm / 2, arm])
    return np.column_stack([x, y, np.ones(17)]).astype(np.float32)


KINDS = [standing(1), standing(1, stride=9), standing(0.1, stride=12), standing(-1), standing(-1, arm=14)]


def crowd(each: int = 12, seed: int = 0) -> tuple[Keypoints, NDArray[np.int64]]:
    """Poses of five kinds, jittered, at different places and sizes, in a random order; and their kinds."""
    rng = np.random.Generator(np.random.Philox(seed))
    poses, kinds = [], []
    for kind in rng.permutation(np.repeat(np.arange(len(KINDS)), each)):
        pose = KINDS[kind].copy()
        pose[:, :2] = pose[:, :2] * rng.uniform(0.8, 1.1) + rng.uniform(-4, 4, 2) + rng.normal(0, 0.5, (17, 2))
        poses.append(pose)
        kinds.append(kind)
    return np.stack(poses), np.array(kinds)


def test_kinds_are_found_and_ordered_from_front_to_back() -> None:
    poses, kinds = crowd()
    centres = fit_canonical_poses(poses, HEIGHT, WIDTH, count=5)
    assert centres.shape == (5, 17, 2)
    assert centres.dtype == np.float32
    assert ((centres >= 0) & (centres <= 1)).all()
    classes = pose_classes(poses, centres, HEIGHT, WIDTH)
    assert len({(kind, found) for kind, found in zip(kinds, classes, strict=True)}) == 5, "one class a kind"
    apart = centres[:, 5, 0] - centres[:, 6, 0]
    assert (np.diff(apart) <= 0).all()
    assert apart[0] > 0.2
    assert apart[-1] < -0.2


def test_centres_stand_where_people_stand() -> None:
    poses, kinds = crowd()
    centres = fit_canonical_poses(poses, HEIGHT, WIDTH, count=5)
    classes = pose_classes(poses, centres, HEIGHT, WIDTH)
    for kind in range(5):
        members = poses[kinds == kind, :, :2]
        placed = place_pose(centres[classes[kinds == kind][0]], HEIGHT, WIDTH)
        assert (placed[:, 2] == 1).all()
        assert np.abs(placed[:, :2] - members.mean(axis=0)).max() < 4


def test_the_class_of_a_centre_is_itself_and_place_and_size_do_not_matter() -> None:
    centres = fit_canonical_poses(crowd()[0], HEIGHT, WIDTH, count=5)
    placed = np.stack([place_pose(centre, HEIGHT, WIDTH) for centre in centres])
    np.testing.assert_array_equal(pose_classes(placed, centres, HEIGHT, WIDTH), np.arange(5))
    moved = placed * np.array([0.5, 0.5, 1], np.float32) + np.array([9, 20, 0], np.float32)
    np.testing.assert_array_equal(pose_classes(moved, centres, HEIGHT, WIDTH), np.arange(5))


def test_equal_data_give_equal_poses_at_any_size() -> None:
    poses, _ = crowd()
    first = fit_canonical_poses(poses, HEIGHT, WIDTH, seed=4)
    np.random.default_rng().random()
    np.testing.assert_array_equal(first, fit_canonical_poses(poses.copy(), HEIGHT, WIDTH, seed=4))
    doubled = poses * np.array([2, 2, 1], np.float32)
    np.testing.assert_allclose(fit_canonical_poses(doubled, 2 * HEIGHT, 2 * WIDTH, seed=4), first, atol=1e-5)


def test_unseen_joints_do_not_count() -> None:
    poses, _ = crowd()
    centres = fit_canonical_poses(poses, HEIGHT, WIDTH, count=5)
    hidden = poses.copy()
    hidden[::2, 10] = (900, -900, 0.1)  # a wrist, badly guessed
    np.testing.assert_allclose(fit_canonical_poses(hidden, HEIGHT, WIDTH, count=5), centres, atol=0.02)
    np.testing.assert_array_equal(
        pose_classes(hidden, centres, HEIGHT, WIDTH), pose_classes(poses, centres, HEIGHT, WIDTH)
    )
    no_torso = poses.copy()
    no_torso[:3, 11, 2] = 0
    assert (pose_classes(no_torso, centres, HEIGHT, WIDTH)[:3] == -1).all()
    without, fewer = fit_canonical_poses(no_torso, HEIGHT, WIDTH, 5), fit_canonical_poses(poses[3:], HEIGHT, WIDTH, 5)
    np.testing.assert_array_equal(without, fewer)


def test_distances_are_in_torso_lengths() -> None:
    pose = standing()
    moved = pose * np.array([1.5, 1.5, 1], np.float32) + np.array([3, 7, 0], np.float32)
    raised = pose.copy()
    raised[9, 1] -= 33  # the torso is 33 pixels long
    unseen = pose.copy()
    unseen[9] = (0, 0, 0)
    lost = pose.copy()
    lost[5, 2] = 0
    many = np.stack([pose] * 4)
    apart = pose_distances(many, np.stack([moved, raised, unseen, lost]))
    np.testing.assert_allclose(apart, [0, 1 / 17, 0, np.inf], atol=1e-6)


def test_too_few_poses_are_refused() -> None:
    poses, _ = crowd(each=1)
    with pytest.raises(UserError, match="5 of 5 poses show the torso and 13 joints: too few for 8"):
        fit_canonical_poses(poses, HEIGHT, WIDTH)
    with pytest.raises(UserError, match="too few for 8"):
        fit_canonical_poses(np.repeat(poses, 9, axis=0), HEIGHT, WIDTH)
