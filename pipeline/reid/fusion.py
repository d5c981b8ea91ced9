"""PN-GAN's feature of an image: its own and those of its generated poses, as one vector."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Fusion = Literal["max", "mean", "concatenation"]


def fuse_poses(own: NDArray[np.float32], poses: NDArray[np.float32], how: Fusion = "max") -> NDArray[np.float32]:
    """The image's feature ``own`` (N, D) and those of its P generated ``poses`` (N, P, D), fused.

    ``max`` takes the largest of the P + 1 values of each element (Qian et al., "Pose-Normalized Image Generation for
    Person Re-identification", ECCV 2018, section 3.3: ``own`` by network A, trained on real images, 8 ``poses`` by
    network B, trained on generated ones); ``mean`` their mean; ``concatenation`` puts them side by side, own first.
    Returns (N, D), or (N, (P + 1) D), float32 rows of Euclidean length 1.

    Raises:
        ValueError: the shapes do not belong together, or a feature is not finite.
    """
    if own.ndim != 2 or poses.ndim != 3 or (len(own), own.shape[1]) != (len(poses), poses.shape[2]):
        raise ValueError(f"features must be (N, D) and (N, P, D), got {own.shape} and {poses.shape}")
    if not (np.isfinite(own).all() and np.isfinite(poses).all()):
        raise ValueError("features to be fused must be finite")
    stacked = np.concatenate([own[:, None], poses], axis=1)
    if how == "max":
        fused = stacked.max(axis=1)
    elif how == "mean":
        fused = stacked.mean(axis=1)
    else:
        fused = stacked.reshape(len(own), -1)
    length = np.linalg.norm(fused, axis=1, keepdims=True)
    return np.asarray(fused / np.maximum(length, 1e-12), dtype=np.float32)
