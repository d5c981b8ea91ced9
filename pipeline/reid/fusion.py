"""An image's own feature and those of its generated poses, as one vector."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Fusion = Literal["max", "mean", "concatenation"]


def fuse_poses(
    own: NDArray[np.float32], poses: NDArray[np.float32], how: Fusion = "max", pose_weight: float | None = None
) -> NDArray[np.float32]:
    """The image's feature ``own`` (N, D) and those of its P generated ``poses`` (N, P, D), fused.

    ``max`` takes the largest of the P + 1 values of each element (Qian et al., "Pose-Normalized Image Generation for
    Person Re-identification", ECCV 2018, section 3.3: ``own`` by network A, trained on real images, 8 ``poses`` by
    network B, trained on generated ones). It is meant for features that are never negative, pooled ones: of signed ones
    it forgets what a person lacks. ``mean`` is ``own`` + ``pose_weight`` x mean of ``poses`` (Pose2ID, CVPR 2025); with
    P, the default, it is the mean of all P + 1. ``concatenation`` puts them side by side, own first.

    Returns (N, D), or (N, (P + 1) D), float32 rows of Euclidean length 1.

    Raises:
        ValueError: the shapes do not belong together, a feature is not finite, or a weight is given for another fusion.
    """
    if own.ndim != 2 or poses.ndim != 3 or (len(own), own.shape[1]) != (len(poses), poses.shape[2]):
        raise ValueError(f"features must be (N, D) and (N, P, D), got {own.shape} and {poses.shape}")
    if not (np.isfinite(own).all() and np.isfinite(poses).all()):
        raise ValueError("features to be fused must be finite")
    if pose_weight is not None and how != "mean":
        raise ValueError(f"a weight of the poses belongs to the mean, not to {how}")
    stacked = np.concatenate([own[:, None], poses], axis=1)
    if pose_weight is not None:
        fused = own + np.float32(pose_weight) * poses.mean(axis=1)
    elif how == "mean":
        fused = stacked.mean(axis=1)
    elif how == "max":
        fused = stacked.max(axis=1)
    else:
        fused = stacked.reshape(len(own), -1)
    return unit_rows(fused)


def unit_rows(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row of ``features`` (N, D) scaled to Euclidean length 1; one of zeros stays."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, 1e-12), dtype=np.float32)
