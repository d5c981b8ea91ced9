"""Real rows that training rows are measured by: whose loss they lower or raise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from manifests.errors import UserError
from manifests.reading.dataset import Dataset
from pipeline.reid.model import ReidModel
from pipeline.scoring.influence import Known, Strangers
from pipeline.scoring.row_facts import person_of
from pipeline.scoring.source_people import decoded, rows_of_people


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
        for uri, part in rows_of_people(self.datasets, self.splits, ["dataset_id", "camera"], "watched"):
            rows = part.select(["dataset_id", "identity", "camera"]).to_pylist()
            people += [person_of(row) for row in rows]
            cameras += [-1 if row["camera"] is None else row["camera"] for row in rows]
            images.append(decoded(part, uri, model.height, model.width))
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
