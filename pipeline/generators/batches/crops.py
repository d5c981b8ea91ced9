"""Batches of one training set: the images in random order, each with its conditions as class numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.common.keypoints import COCO_MIRROR
from pipeline.training.data import Columns, DomainData, crop_together, draw_crop, enlarged, evenly
from pipeline.training.randomness import GeneratorStream, epoch_rows, random_generator


class TrainingCrops:
    """Column ``image``, ``mask`` where ``masks`` are wanted, and one int64 column for each of ``conditions``, whatever
    the batch size.

    ``conditions`` by name: (N,) class numbers, or (N, 2) where a mirrored image is of another class (a pose): the
    second column is then that of the mirrored image. The set is walked through in a new random order every epoch;
    crops and mirroring are those of `pipeline.training.data`.
    """

    def __init__(
        self,
        data: DomainData,
        height: int,
        width: int,
        seed: int,
        conditions: Mapping[str, NDArray[np.int64]] | None = None,
        masks: bool = False,
    ) -> None:
        self.height, self.width, self.seed = height, width, seed
        self._digest = data.digest()
        # Keypoints, and masks that nobody wants, have said what they had to: they are not cut from here on.
        self.data = replace(data, masks=data.masks if masks else None, keypoints=None).resized(*enlarged(height, width))
        self.conditions = {name: _of_both(classes) for name, classes in (conditions or {}).items()}

    def batch(self, step: int, size: int) -> Columns:
        """The batch of training step ``step``: uint8 images and class numbers by column name."""
        rows = epoch_rows(self.seed, GeneratorStream.CROP_ORDER, len(self.data), step, size)
        rng = random_generator(self.seed, GeneratorStream.CROPS, step)
        crops = [draw_crop(self.data, self.height, self.width, rng) for _ in rows]
        cut = crop_together(self.data.take(rows), crops, self.height, self.width)
        flips = np.array([crop.flip for crop in crops], np.int64)
        return _pictures(cut) | {name: classes[rows, flips] for name, classes in self.conditions.items()}

    def preview(self, count: int) -> Columns:
        """``count`` rows spread evenly over the set, whole and unmirrored."""
        rows = evenly(count, len(self.data))
        return _pictures(self.data.take(rows).resized(self.height, self.width)) | {
            name: classes[rows, 0] for name, classes in self.conditions.items()
        }

    def digests(self) -> dict[str, str]:
        return {"source": self._digest}


def _pictures(data: DomainData) -> Columns:
    return {"image": data.images} | ({} if data.masks is None else {"mask": data.masks})


def mirrored(keypoints: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Keypoints (N, 17, 3) of images ``width`` pixels wide as they are in the mirrored images."""
    points = keypoints[:, COCO_MIRROR].copy()
    points[:, :, 0] = width - points[:, :, 0]
    return points


def _of_both(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    return classes if classes.ndim == 2 else np.stack([classes, classes], axis=1)
