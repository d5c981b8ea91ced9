"""Real rows that training rows are measured by: whose loss they lower or raise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from manifests.errors import UserError
from manifests.reading.dataset import Dataset
from pipeline.common.progress import Progress
from pipeline.common.row_images import PICTURE
from pipeline.reid.data import in_splits
from pipeline.reid.model import ReidModel
from pipeline.scoring.influence import Known, Strangers
from pipeline.scoring.row_facts import person_of
from pipeline.scoring.source_people import decoded

_COLUMNS = ("dataset_id", "identity", "camera", "role", "split")
_PART = 256


@dataclass(frozen=True)
class Watched:
    """The people in some ``splits`` of source manifests."""

    datasets: tuple[Dataset, ...] = ()
    splits: tuple[str, ...] = ()

    def seen_by(
        self, model: ReidModel, classes: Mapping[tuple[str, str], int]
    ) -> tuple[Known | None, Strangers | None]:
        """Those of ``classes`` (by data set and name), and all others, at the network's size; None where there is none.

        Raises:
            UserError: there is nobody, too few strangers to find one among them, or an image that does not decode.
        """
        people: list[tuple[str, str]] = []
        images, cameras = [], []
        where = f"{', '.join(one.uri for one in self.datasets)} ({', '.join(self.splits)})"
        with Progress("watched", sum(one.snapshot.rows for one in self.datasets)) as progress:
            for dataset in self.datasets:
                for shard in dataset.shards([*PICTURE, *_COLUMNS]):
                    for table in _somebody(shard, self.splits):
                        rows = table.select(_COLUMNS).to_pylist()
                        people += [person_of(row) for row in rows]
                        cameras += [-1 if row["camera"] is None else row["camera"] for row in rows]
                        images.append(decoded(table, dataset.uri, model.height, model.width))
                    progress.advance(shard.num_rows)
        if not people:
            raise UserError(f"{where}: nobody with an identity to watch: see --validation-splits")
        numbers = np.array([classes.get(person, -1) for person in people], np.int64)
        pixels, known, strange = np.concatenate(images), numbers >= 0, numbers < 0
        found = Known(pixels[known], numbers[known]) if known.any() else None
        if not strange.any():
            return found, None
        names = sorted({person for person, number in zip(people, numbers, strict=True) if number < 0})
        places = {person: place for place, person in enumerate(names)}
        identities = np.array([places[people[row]] for row in np.flatnonzero(strange)], np.int64)
        try:
            return found, Strangers(pixels[strange], identities, np.array(cameras, np.int64)[strange])
        except ValueError as error:
            raise UserError(f"{where}: nobody can be found there: {error}") from None


def _somebody(shard: pa.Table, splits: tuple[str, ...]) -> list[pa.Table]:
    """The rows of ``splits`` that show somebody, some at a time."""
    table = in_splits(shard, splits)
    shown = [
        role == "person" and identity is not None
        for role, identity in zip(table["role"].to_pylist(), table["identity"].to_pylist(), strict=True)
    ]
    table = table.filter(pa.array(shown, pa.bool_()))
    return [table.slice(start, _PART) for start in range(0, table.num_rows, _PART)]
