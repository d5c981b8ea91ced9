"""How good a segmenter is: against exact masks of drawn people, and against teachers' masks of real ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from manifests.reading.inputs import open_input
from pipeline.annotation.masks import Segmenter
from pipeline.annotation.poses import PoseEstimator
from pipeline.annotation.shipped.segmenter_training import SegmentationData
from pipeline.annotation.shipped.teachers import Teachers
from pipeline.common.images import BoolMask, RgbImage
from pipeline.common.progress import Progress
from pipeline.common.row_images import PICTURE, image_of

_BATCH = 64


def overlap(first: BoolMask, second: BoolMask) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    either = int((first | second).sum())
    return float((first & second).sum()) / either if either else 1.0


def measure_drawn(
    segmenter: Segmenter, data: SegmentationData, keypoints: Sequence[NDArray[np.float32]] | None = None
) -> NDArray[np.float64]:
    """IoU (N,) of each sample's mask with the true one, prompted by the box and, if given, by keypoints (17, 3)."""
    people = segmenter.segment(list(data.images), keypoints)
    return np.array([overlap(made.mask, true) for made, true in zip(people, data.masks, strict=True)])


def true_keypoints(data: SegmentationData) -> list[NDArray[np.float32]]:
    """The data's keypoints as prompts: those that are known have a score of 1."""
    return [np.column_stack([rows[:, :2], rows[:, 2] > 0]).astype(np.float32) for rows in data.keypoints]


def measure_real(
    segmenter: Segmenter, uri: str, teachers: Teachers, hold_out: Sequence[str], pose: PoseEstimator | None
) -> dict[str, tuple[float, int]]:
    """Mean IoU with each teacher's mask over all crops of a source manifest, at their own sizes.

    Returns:
        (mean IoU, crops) by ``<held_out or trained> <teacher>``; ``between_teachers`` is that of the two teachers
        with each other, ``consensus`` that with the mean of both.
    """
    overlaps: dict[str, list[float]] = defaultdict(list)
    for images, identities in _crops(uri):
        keypoints = list(pose.estimate(images)) if pose is not None else None
        for image, identity, made in zip(images, identities, segmenter.segment(images, keypoints), strict=True):
            part = "held_out" if identity in hold_out else "trained"
            first, second = teachers.masks(image)
            overlaps[f"{part} mediapipe"].append(overlap(made.mask, first > 0.5))
            overlaps[f"{part} bodypix"].append(overlap(made.mask, second > 0.5))
            overlaps[f"{part} consensus"].append(overlap(made.mask, (first + second) / 2 > 0.5))
            overlaps[f"{part} between_teachers"].append(overlap(first > 0.5, second > 0.5))
    return {name: (float(np.mean(values)), len(values)) for name, values in sorted(overlaps.items())}


def _crops(uri: str) -> Iterator[tuple[list[RgbImage], list[str | None]]]:
    """Batches of decoded crops and their identities."""
    dataset = open_input(uri, "source")
    with Progress("real crops", dataset.snapshot.rows) as progress:
        for shard in dataset.shards([*PICTURE, "identity"]):
            rows = shard.to_pylist()
            for start in range(0, len(rows), _BATCH):
                part = rows[start : start + _BATCH]
                yield [image_of(row, uri) for row in part], [row["identity"] for row in part]
                progress.advance(len(part))
