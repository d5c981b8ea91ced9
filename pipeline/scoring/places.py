"""Rows of several data sets by where they lie: an index without pictures, then the pictures of those chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of
from manifests.reading.rows import fetch_rows, index_rows
from pipeline.common.progress import Progress
from pipeline.common.row_images import PICTURE
from pipeline.reid.model import Images
from pipeline.scoring.source_people import decoded

_PART = 256
_PLACE = ("dataset", "file", "row")


def index_all(datasets: Sequence[Dataset], columns: Sequence[str]) -> pl.DataFrame:
    """``columns`` of every row of one or more ``datasets``, in order, and its place: the number of its ``dataset``, its
    ``file`` there and its ``row`` in that."""
    indices = [frame_of(index_rows(dataset, columns)) for dataset in datasets]
    return pl.concat(index.with_columns(dataset=pl.lit(place, pl.Int32)) for place, index in enumerate(indices))


def people_in(sources: Sequence[Dataset], columns: Sequence[str]) -> pl.DataFrame:
    """`index_all` of source manifests, of the rows that show a person."""
    return index_all(sources, ("role", *columns)).filter(pl.col("role") == "person").drop("role")


def images_at(datasets: Sequence[Dataset], places: pl.DataFrame, size: tuple[int, int], stage: str) -> Images:
    """The images (N, height, width, 3) of one or more rows of `index_all`, which are in its order.

    Raises:
        UserError: one does not decode, or is another than its row says.
    """
    parts = []
    with Progress(stage, places.height) as progress:
        for (number,), mine in places.select(_PLACE).group_by("dataset", maintain_order=True):
            dataset = datasets[int(number)]
            for some in mine.iter_slices(_PART):
                parts.append(decoded(fetch_rows(dataset, some.to_arrow(), PICTURE), dataset.uri, *size))
                progress.advance(some.height)
    return np.concatenate(parts)
