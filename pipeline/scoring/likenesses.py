"""Every row of a data set beside all others: what is new in it, whether it repeats one before, its place on a map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manifests.reading.dataset import Dataset
from pipeline.common.finite import naming
from pipeline.common.progress import Progress
from pipeline.common.row_images import PICTURE
from pipeline.measures.likeness import compare, copy_similarities, duplicate_similarity, map_of, mirror_features
from pipeline.reid.model import Images, ReidModel
from pipeline.scoring.source_people import decoded
from pipeline.training.randomness import SetStream, random_generator

_PART = 256
_COPIED = 256
"""Most rows that are compared to recompressed copies of themselves."""


@dataclass(frozen=True)
class Likenesses:
    """``columns`` of ``quality`` by name, (rows,) each through all files, nan where a row has none; ``least`` is the
    similarity from which on two rows are near duplicates."""

    columns: dict[str, NDArray[np.float32]]
    least: float

    @classmethod
    def of(cls, dataset: Dataset, model: ReidModel, mapped: int, seed: int) -> Likenesses | None:
        """Of all rows, up to ``mapped`` of them on the map; None where there is no row. Features of all rows are in
        memory at a time: 1 kB a row for 256 of them.

        Raises:
            UserError: an image does not decode.
            NotFiniteError: the model answers with what is not finite.
        """
        rows = dataset.snapshot.rows
        if not rows:
            return None
        features, copies = [], []
        with Progress("likeness", rows) as progress, naming(dataset.uri):
            for start, images in _images(dataset, model):
                features.append(mirror_features(model, images))
                some = np.arange(start, start + len(images)) % max(1, rows // _COPIED) == 0
                copies.append(copy_similarities(model, images[some], features[-1][some]))
                progress.advance(len(images))
        every = np.concatenate(features)
        least = duplicate_similarity(np.concatenate(copies))
        return cls({**compare(every, least)._asdict(), **_map(every, mapped, seed)}, least)

    def of_rows(self, start: int, count: int) -> dict[str, NDArray[np.float32]]:
        """The columns of ``count`` rows from number ``start`` on."""
        return {name: values[start : start + count] for name, values in self.columns.items()}


def _images(dataset: Dataset, model: ReidModel) -> Iterator[tuple[int, Images]]:
    """The number of the first of some rows, and their images at the network's size."""
    start = 0
    for shard in dataset.shards(PICTURE):
        for first in range(0, shard.num_rows, _PART):
            images = decoded(shard.slice(first, _PART), dataset.uri, model.height, model.width)
            yield start, images
            start += len(images)


def _map(features: NDArray[np.float32], mapped: int, seed: int) -> dict[str, NDArray[np.float32]]:
    chosen = np.sort(random_generator(seed, SetStream.MAPPED_ROWS).permutation(len(features))[:mapped])
    places = map_of(features[chosen], seed)
    whole = np.full((len(features), 2), np.nan, np.float32)
    if places is not None:
        whole[chosen] = places
    return {"map_x": whole[:, 0], "map_y": whole[:, 1]}
