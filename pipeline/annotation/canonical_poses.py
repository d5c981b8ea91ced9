"""Canonical poses: a few poses that stand for all poses of a training set.

Qian et al., "Pose-Normalized Image Generation for Person Re-identification", ECCV 2018, section 3.3: k-means, 8
clusters, over the poses of the training images. A pose is compared with its place and size taken out: the middle of
shoulders and hips is the origin, the distance from the middle of the shoulders to that of the hips is 1. Joints that
were not seen do not count, neither in distances nor in means.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from manifests.errors import UserError
from manifests.format.skeleton import LEAST_SCORE
from pipeline.training.data import DomainData, needed
from pipeline.training.randomness import SetStream, random_generator

SHOULDERS, HIPS = (5, 6), (11, 12)
TORSO = (*SHOULDERS, *HIPS)
LEAST_JOINTS = 13
"""A pose takes part in the clustering if its torso and at least this many of its 17 joints were seen."""
_RESTARTS = 8
_ROUNDS = 100

Floats = NDArray[np.float64]
_Share = Annotated[float, Field(ge=-10, le=10)]
CanonicalPose = Annotated[tuple[tuple[_Share, _Share], ...], Field(min_length=17, max_length=17)]
"""17 points in shares of width and height, as settings hold them."""
CanonicalPoses = Annotated[
    tuple[CanonicalPose, ...],
    Field(description="17 points each, in shares of width and height; by default the centres of the data"),
]
PoseCount = Annotated[int, Field(ge=1, le=1000, description="canonical poses (PN-GAN, section 3.3)")]


def fit_canonical_poses(
    keypoints: NDArray[np.float32], height: int, width: int, count: int = 8, seed: int = 0
) -> NDArray[np.float32]:
    """``count`` poses that stand for ``keypoints`` (N, 17, 3; pixels of ``height`` x ``width`` crops, score).

    Returns (count, 17, 2): x, y in [0, 1] of width and height, each centre put back at the mean place and size of a
    person in the crop. Ordered from seen from the front (left shoulder right of the right one) to seen from behind.

    Raises:
        UserError: fewer than ``count`` different poses were seen well enough.
    """
    points, seen, middle, torso = _normalized(keypoints)
    enough = (torso > 0) & (seen.sum(axis=1) >= LEAST_JOINTS)
    points, seen = points[enough], seen[enough]
    if len(np.unique(points, axis=0)) < count:
        raise UserError(
            f"{len(points)} of {len(keypoints)} poses show the torso and {LEAST_JOINTS} joints: too few for {count} "
            "canonical poses; give more images, or better keypoints"
        )
    centres = _k_means(points, seen, count, random_generator(seed, SetStream.CANONICAL_POSES))
    facing = centres[:, SHOULDERS[0], 0] - centres[:, SHOULDERS[1], 0]
    placed = centres[np.argsort(-facing, kind="stable")] * torso[enough].mean() + middle[enough].mean(axis=0)
    return np.clip(placed / (width, height), 0, 1).astype(np.float32)


def canonical_shares(data: DomainData, count: int, recipe: str) -> tuple[CanonicalPose, ...]:
    """What `fit_canonical_poses` finds in the training set of a ``recipe``, as settings hold it: rounded to a
    ten-thousandth.

    Raises:
        UserError: too few poses of it are known.
    """
    height, width = data.images.shape[1:3]
    centres = fit_canonical_poses(needed(data.keypoints, "keypoints", recipe), height, width, count)
    return tuple(tuple((round(float(x), 4), round(float(y), 4)) for x, y in centre) for centre in centres)


def pose_classes(
    keypoints: NDArray[np.float32], centres: NDArray[np.float32], height: int, width: int
) -> NDArray[np.int64]:
    """The nearest of ``centres`` (K, 17, 2) for each of ``keypoints`` (N, 17, 3; pixels, score); -1 without a torso."""
    points, seen, _, torso = _normalized(keypoints)
    placed = np.stack([place_pose(centre, height, width) for centre in centres])
    nearest = _distances(points, seen, _normalized(placed)[0]).argmin(axis=1)
    return np.where(torso > 0, nearest, -1).astype(np.int64)


def place_pose(centre: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """(17, 2) in [0, 1] -> keypoints (17, 3) in pixels of a ``height`` x ``width`` image, score 1."""
    return np.column_stack([np.asarray(centre) * (width, height), np.ones(len(centre))]).astype(np.float32)


def shows_torso(keypoints: NDArray[np.float32]) -> bool:
    """Whether both shoulders and hips of a pose (17, 3) are seen, and apart: what all that compares or moves poses
    starts from."""
    return bool(_normalized(keypoints[None])[3][0] > 0)


def pose_distances(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean distance of the joints seen in both of two (N, 17, 3) poses, row by row, in torso lengths: (N,).

    Infinite where a torso or all common joints are missing.
    """
    points, seen, _, torso = _normalized(first)
    others, seen_too, _, torso_too = _normalized(second)
    both = seen & seen_too & (torso > 0)[:, None] & (torso_too > 0)[:, None]
    apart = np.where(both, np.linalg.norm(points - others, axis=2), 0.0).sum(axis=1)
    common = both.sum(axis=1)
    return np.where(common > 0, apart / np.maximum(common, 1), np.inf)


def _normalized(keypoints: NDArray[np.float32]) -> tuple[Floats, NDArray[np.bool_], Floats, Floats]:
    """Points (N, 17, 2) without place and size (0 where unseen), seen (N, 17), middle (N, 2), torso length (N,).

    The length is in pixels, 0 where a joint of the torso was not seen or shoulders and hips lie on one another.
    """
    places = keypoints[..., :2].astype(np.float64)
    seen = keypoints[..., 2] >= LEAST_SCORE
    shoulders, hips = places[:, SHOULDERS].mean(axis=1), places[:, HIPS].mean(axis=1)
    length = np.linalg.norm(shoulders - hips, axis=1)
    torso = np.where(seen[:, TORSO].all(axis=1) & (length > 1e-6), length, 0.0)
    middle = (shoulders + hips) / 2
    points = (places - middle[:, None]) / np.where(torso > 0, torso, 1.0)[:, None, None]
    return np.where(seen[..., None], points, 0.0), seen, middle, torso


def _distances(points: Floats, seen: NDArray[np.bool_], centres: Floats) -> Floats:
    """Mean squared distance over the seen joints: (N, K)."""
    squared = ((points[:, None] - centres[None]) ** 2).sum(axis=3) * seen[:, None]
    mean: Floats = squared.sum(axis=2) / np.maximum(seen.sum(axis=1), 1)[:, None]
    return mean


def _k_means(points: Floats, seen: NDArray[np.bool_], count: int, rng: np.random.Generator) -> Floats:
    """Lloyd's algorithm from k-means++ starts; the best of several. Library versions know no missing joints."""
    best, least = points[:count], np.inf
    for _ in range(_RESTARTS):
        centres = _first_centres(points, seen, count, rng)
        nearest = np.full(len(points), -1)
        for _ in range(_ROUNDS):
            distances = _distances(points, seen, centres)
            before, nearest = nearest, distances.argmin(axis=1)
            if (before == nearest).all():
                break
            centres = np.stack([_mean(points, seen, nearest == k, centres[k]) for k in range(count)])
        spread = float(distances.min(axis=1).sum())
        if spread < least:
            best, least = centres, spread
    return best


def _first_centres(points: Floats, seen: NDArray[np.bool_], count: int, rng: np.random.Generator) -> Floats:
    """k-means++ (Arthur and Vassilvitskii, SODA 2007); what a chosen pose does not show comes from the mean pose."""
    mean = _mean(points, seen, np.ones(len(points), bool), points[0])
    whole = np.where(seen[..., None], points, mean)
    chosen = [int(rng.integers(len(points)))]
    while len(chosen) < count:
        far = _distances(points, seen, whole[chosen]).min(axis=1)
        chosen.append(int(rng.choice(len(points), p=far / far.sum() if far.any() else None)))
    return whole[chosen]


def _mean(points: Floats, seen: NDArray[np.bool_], chosen: NDArray[np.bool_], otherwise: Floats) -> Floats:
    """(17, 2): each joint's mean over the ``chosen`` that show it; as ``otherwise`` where none does."""
    times = seen[chosen].sum(axis=0)[:, None]
    return np.where(times > 0, points[chosen].sum(axis=0) / np.maximum(times, 1), otherwise)
