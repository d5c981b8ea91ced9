"""Which images are annotated, and where: a worker opens the masks and poses of its shard, and no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from manifests.reading.dataset import Dataset
from manifests.reading.rows import fetch_rows, places_of
from manifests.reading.shard_check import check_shards
from pipeline.annotation.annotations import COLUMNS, Annotations


class AnnotatedImages:
    """Which images a data set has annotations of, and where: 16 bytes each. Masks and poses stay on the disk."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        parts = [np.empty(0, np.uint64), *(_keys(part.column(0)) for part in dataset.shards(["image_sha256"]))]
        keys = np.concatenate(parts)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def of(self, digests: pa.ChunkedArray[Any]) -> Annotations:
        """The annotations of these images, of which some may have none.

        Raises:
            UserError: a file that holds some is not the one that was written.
        """
        keys = np.unique(_keys(digests.drop_null()))
        starts, ends = (np.searchsorted(self._keys, keys, side) for side in ("left", "right"))
        found = [self._order[start:end] for start, end in zip(starts, ends, strict=True)]
        places = places_of(self.dataset, np.sort(np.concatenate([np.empty(0, np.int64), *found])))
        check_shards(self.dataset, places.column("file").to_pylist())
        return Annotations(self.dataset, fetch_rows(self.dataset, places, COLUMNS))

    def holding(self, digests: pa.ChunkedArray[Any], *values: str) -> NDArray[np.bool_]:
        """``(N,)``: which of these images have all of ``values`` (mask, keypoints), be they good or bad.

        Raises:
            UserError: a file is not the one that was written.
        """
        check_shards(self.dataset)
        held: dict[str, bool] = {}
        for part in self.dataset.shards(["image_sha256", *values]):
            there = np.logical_and.reduce([part.column(name).is_valid().to_numpy() for name in values])
            held.update(zip(part.column("image_sha256").to_pylist(), there.tolist(), strict=True))
        return np.array([held.get(digest, False) for digest in digests.to_pylist()], np.bool_)


def _keys(digests: pa.ChunkedArray[Any]) -> NDArray[np.uint64]:
    """Of texts, in this process; different ones may share theirs."""
    return pl.Series(digests.to_pylist(), dtype=pl.String).hash().to_numpy()
