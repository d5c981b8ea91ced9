"""A toy world's folder as training data: its images with the truth about them, and people kept out of training."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.annotation_values import read_mask
from pipeline.common.digests import subject_key
from pipeline.common.images import decode
from pipeline.training.data import DomainData, evenly
from pipeline.training.provenance import subjects_of


@dataclass(frozen=True, kw_only=True)
class WorldData(DomainData):
    """Images of whom all is known: who drew them knows mask, keypoints, person and camera of each."""

    masks: NDArray[np.bool_]
    keypoints: NDArray[np.float32]
    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]


def load_toyworld(root: Path, domain: str, splits: Collection[str], limit: int | None = None) -> WorldData:
    """People of ``splits`` (train, query, gallery) in one domain of the world under ``root``.

    ``limit`` keeps that many, spread evenly over the rest.

    Raises:
        UserError: there is no such domain, or it has no such people.
    """
    folder = root / domain
    truth = folder / "ground_truth" / "annotations.parquet"
    if not truth.is_file():
        raise UserError(f"no toy world domain at {folder}: {truth} is missing; make one with jobs/make_toyworld.py")
    table = pq.read_table(truth, columns=["path", "split", "identity", "camera", "kind", "mask", "keypoints"])
    rows = [row for row in table.to_pylist() if row["split"] in splits and row["identity"] > 0]
    if limit is not None and limit < len(rows):
        rows = [rows[index] for index in evenly(limit, len(rows))]
    if not rows:
        raise UserError(f"no people in the splits {', '.join(sorted(splits))} of {folder}")
    identities = np.array([row["identity"] for row in rows], np.int64)
    images = np.stack([decode((folder / row["path"]).read_bytes()) for row in rows])
    return WorldData(
        images=images,
        masks=np.stack([read_mask(row["mask"], *images.shape[1:3]) for row in rows]),
        keypoints=np.array([[tuple(point.values()) for point in row["keypoints"]] for row in rows], np.float32),
        identities=np.unique(identities, return_inverse=True)[1].astype(np.int64),
        cameras=np.array([row["camera"] for row in rows], np.int64),
        provenance={
            "images": len(rows),
            "dataset_ids": [f"toyworld/{domain}"],
            "domains": [domain],
            "licences": ["drawn by this project, Apache-2.0"],
            **subjects_of(subject_key(f"toyworld/{domain}", str(row["identity"])) for row in rows),
        },
    )
