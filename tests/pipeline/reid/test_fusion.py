"""Fusion of features against numbers worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.reid.fusion import fuse_poses

OWN = np.array([[0.6, 0.0, -0.8]], np.float32)
POSES = np.array([[[0.0, 0.8, -0.6], [0.28, -0.96, 0.0]]], np.float32)


def test_maximum_of_each_element() -> None:
    # max = (0.6, 0.8, 0), which has length 1
    assert fuse_poses(OWN, POSES) == pytest.approx(np.array([[0.6, 0.8, 0.0]]))


def test_mean() -> None:
    mean = np.array([0.88, -0.16, -1.4]) / 3
    assert fuse_poses(OWN, POSES, "mean")[0] == pytest.approx(mean / np.sqrt((mean**2).sum()), abs=1e-6)


def test_own_and_so_much_of_the_poses() -> None:
    # own + 2 x (0.14, -0.08, -0.3)
    expected = np.array([0.88, -0.16, -1.4])
    assert fuse_poses(OWN, POSES, "mean", 2.0)[0] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert fuse_poses(OWN, POSES, "mean", 2.0) == pytest.approx(fuse_poses(OWN, POSES, "mean"), abs=1e-6)
    slight = fuse_poses(OWN, POSES, "mean", 0.5)[0]
    expected = np.array([0.67, -0.04, -0.95])
    assert slight == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    with pytest.raises(ValueError, match="belongs to the mean, not to max"):
        fuse_poses(OWN, POSES, "max", 0.5)


@pytest.mark.parametrize("how", ["max", "mean", "concatenation"])
def test_fused_with_itself_a_feature_compares_as_alone(how: Any) -> None:
    features = np.abs(np.random.Generator(np.random.Philox(1)).normal(size=(6, 5))).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    fused = fuse_poses(features, np.repeat(features[:, None], 3, axis=1), how)
    assert fused @ fused.T == pytest.approx(features @ features.T, abs=1e-6)


def test_concatenation_compares_pose_with_pose() -> None:
    fused = fuse_poses(OWN, POSES, "concatenation")
    assert fused.shape == (1, 9)
    other = fuse_poses(OWN, POSES[:, ::-1], "concatenation")
    cosines = [1.0, float(POSES[0, 0] @ POSES[0, 1]), float(POSES[0, 0] @ POSES[0, 1])]
    assert float(fused[0] @ other[0]) == pytest.approx(np.mean(cosines), abs=1e-6)


def test_a_row_is_its_own_and_shapes_must_fit() -> None:
    rng = np.random.Generator(np.random.Philox(0))
    own, poses = rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=(4, 8, 6)).astype(np.float32)
    assert np.array_equal(fuse_poses(own, poses)[2:3], fuse_poses(own[2:3], poses[2:3]))
    assert np.linalg.norm(fuse_poses(own, poses), axis=1) == pytest.approx(np.ones(4))
    for wrong in (poses[:3], poses[..., :5], poses[:, 0]):
        with pytest.raises(ValueError, match="features must be"):
            fuse_poses(own, wrong)
