"""How good a pose model is: on drawn people whom it never saw, and against teachers on real crops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from manifests.common.replacing import write_whole
from pipeline.annotation.poses import PoseEstimator, load_pose_estimator
from pipeline.annotation.shipped.pose_data import DOMAINS, HIDDEN, SEEN, RealCrop
from pipeline.annotation.shipped.pose_training import CONFIG
from pipeline.checkpoints import load_state, locate, ship
from pipeline.common.images import RgbImage
from pipeline.sources.toyworld import CAMERAS, ToyWorldSettings, render_sample

Keypoints = NDArray[np.float32]
TEST_SEED = 31_415
TEST_CROPS = 600
_SHOULDERS, _HIPS = [5, 6], [11, 12]


class TrueCrop(NamedTuple):
    """A drawn crop, its joints ``(17, 3)`` with states, and the larger side of the person's mask in pixels."""

    image: RgbImage
    keypoints: Keypoints
    size: float


def draw_test_crops(
    count: int = TEST_CROPS, seed: int = TEST_SEED, height: int = 128, width: int = 64
) -> list[TrueCrop]:
    """People of a world that no training saw, each once, in the two domains by turns."""
    settings = ToyWorldSettings(identities=count, seed=seed, height=height, width=width)
    rng = np.random.Generator(np.random.Philox(seed))
    crops = []
    for number in range(count):
        domain = DOMAINS[number % 2]
        camera = int(rng.integers(1, CAMERAS[domain] + 1))
        sample = render_sample(settings, domain, number // 2 + 1, camera, 0)
        rows, columns = np.nonzero(sample.mask)
        if len(rows):
            crops.append(TrueCrop(sample.image, sample.keypoints, float(max(np.ptp(rows), np.ptp(columns)) + 1)))
    return crops


def correct(
    predicted: Keypoints, truth: Keypoints, sizes: NDArray[np.float64], share: float, from_state: int = HIDDEN
) -> NDArray[np.bool_]:
    """For each joint of ``truth`` ``(N, 17, 3)`` whose state is at least ``from_state``, in order: whether the
    prediction is nearer than ``share`` of the crop's size (PCK; ``sizes`` is ``(N,)`` in pixels)."""
    apart = np.linalg.norm(predicted[..., :2] - truth[..., :2], axis=-1)
    right: NDArray[np.bool_] = (apart < share * sizes[:, None])[truth[..., 2] >= from_state]
    return right


def measure_toy(estimator: PoseEstimator, crops: Sequence[TrueCrop]) -> dict[str, float]:
    """PCK on drawn crops, over all joints inside the crop and over the seen ones."""
    predicted = estimator.estimate([crop.image for crop in crops])
    truth = np.stack([crop.keypoints for crop in crops])
    sizes = np.array([crop.size for crop in crops])
    whole = (truth[:, _SHOULDERS + _HIPS, 2] >= HIDDEN).all(axis=1)
    trunk = np.linalg.norm(truth[:, _SHOULDERS, :2].mean(axis=1) - truth[:, _HIPS, :2].mean(axis=1), axis=-1)
    present = truth[..., 2] >= HIDDEN
    return {
        "toy_crops": float(len(crops)),
        "toy_pck_0.1": float(correct(predicted, truth, sizes, 0.1).mean()),
        "toy_pck_0.1_seen": float(correct(predicted, truth, sizes, 0.1, SEEN).mean()),
        "toy_pck_0.05": float(correct(predicted, truth, sizes, 0.05).mean()),
        "toy_pck_0.2_torso": float(correct(predicted[whole], truth[whole], trunk[whole], 0.2).mean()),
        "toy_score_inside": float(predicted[..., 2][present].mean()),
        "toy_score_outside": float(predicted[..., 2][~present].mean()),
    }


def measure_real(estimator: PoseEstimator, crops: Sequence[RealCrop]) -> dict[str, float]:
    """Agreement with the teachers' consensus where there is one, as PCK by the crop's larger side."""
    predicted = estimator.estimate([crop.image for crop in crops])
    truth = np.stack([crop.keypoints for crop in crops])
    sizes = np.array([max(crop.image.shape[:2]) for crop in crops], np.float64)
    return {
        "real_crops": float(len(crops)),
        "real_agreement_0.1": float(correct(predicted, truth, sizes, 0.1).mean()),
        "real_agreement_0.05": float(correct(predicted, truth, sizes, 0.05).mean()),
    }


def measure(name_or_path: str, held_out: Sequence[RealCrop]) -> dict[str, float]:
    """All figures of a model: on drawn crops, and on real ones where there are any."""
    estimator = load_pose_estimator(name_or_path)
    metrics = measure_toy(estimator, draw_test_crops())
    return metrics | (measure_real(estimator, held_out) if held_out else {})


def ship_pose_tiny(weights: Path, metrics: dict[str, float], data: str, command: str) -> None:
    """Put a trained file among the shipped checkpoints, with a card for programs and one for people."""
    metrics = {name: round(value, 4) for name, value in metrics.items()}
    shipped = ship(
        "pose_tiny",
        load_state(weights),
        format="mmpose",
        licence="Apache-2.0",
        trained_on=data,
        command=command,
        metrics=metrics,
        config=CONFIG,
        metadata={"config": CONFIG},
    )
    rows = "\n".join(f"| {name} | {value:g} |" for name, value in metrics.items())
    card = _CARD.format(sha256=shipped.sha256, config=CONFIG, command=command, data=data, rows=rows)
    write_whole(locate(shipped).with_suffix(".md"), card.encode())


_CARD = """---
name: pose_tiny
sha256: {sha256}
licence: Apache-2.0
config: pipeline/{config}
command: {command}
---
# pose_tiny

Finds the 17 COCO keypoints of the person in a small crop: RTMPose's head on a small ResNet at 128 x 64 pixels, built
by mmpose.
Weights are stored as float16. `python jobs/train_pose_tiny.py --evaluate` measures the drawn part again.

## Trained on
{data}

## Measured
| figure | value |
| --- | --- |
{rows}

- `toy`: people of a drawn world that training never saw. `pck_0.1`: share of the joints inside the crop (hidden ones
  too) that are found nearer than 0.1 of the larger side of the person's mask; `seen`: of the visible joints only;
  `torso`: nearer than 0.2 of the distance from shoulders to hips. `score`: mean score of joints inside and outside.
- `real`: crops of tracks held out of training (of the same rooms; the people look alike and may be the same), against
  the mean of the teachers where they agree. Teachers are often wrong, and agree on easy joints: no accuracy.

## Limits
For crops that hold one standing or walking person. Left and right are guessed when the person turns away; joints
behind things are guessed too. It is there so that everything runs without a download: for real data take one of the
official models by name (`rtmpose-m`, for example).
"""
