"""One batch of a shard on its way from plan rows to finished rows: what each stage adds; what became of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.format.soft_labels import LabelColumns
from pipeline.annotation.annotations import reject_row
from pipeline.common.images import ImageError
from pipeline.common.transfers import Download
from pipeline.generators.trained import Making
from pipeline.measures.images import PairCounts
from pipeline.synthesis.row_inputs import View
from pipeline.training.data import Columns


@dataclass
class Batch:
    """Rows of a plan; all but ``plan`` and ``rejects`` is of those that nothing was wrong with so far."""

    plan: pa.Table
    views: list[View]
    places: list[int]
    """The rows of ``views`` in ``plan``."""
    rejects: list[dict[str, Any]]
    """All others, as rows of the table of rejects."""
    columns: Columns = field(default_factory=dict)
    """What the generator reads."""
    making: Making | None = None
    """The generator's answer, on its way; None where there is nothing to ask it for."""
    images: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0, 0, 3), np.uint8))
    """What it made, (N, H, W, 3)."""
    counting: Download | None = None
    """What the device counts of each pair of images (`count_pairs`), on its way; None where the processor is to."""
    counts: PairCounts | None = None
    """The same, there."""
    labels: LabelColumns = field(default_factory=dict)
    found: NDArray[np.float32] | None = None
    """Keypoints (N, 17, 3) on ``images``, where a score asks for them."""

    @property
    def rows(self) -> pa.Table:
        """The plan of ``views``."""
        return (
            self.plan if len(self.places) == self.plan.num_rows else self.plan.take(pa.array(self.places, pa.int64()))
        )

    def take(self, error: ImageError) -> None:
        """Set ``images`` and ``counts``; the rows whose pixels are not finite are rejected by ``error``."""
        if self.making is None:
            return
        self.images, finite = self.making.result()
        if self.counting is not None:
            height, width = self.images.shape[1:3]
            self.counts = PairCounts(self.counting.array(), (height, width))
        self.making = self.counting = None
        self.drop(dict.fromkeys(np.flatnonzero(~finite).tolist(), error), "generate")

    def drop(self, errors: Mapping[int, ImageError], stage: str) -> None:
        """Reject the rows that ``errors`` name by their place among ``views``."""
        if not errors:
            return
        for row, error in errors.items():
            view = self.views[row]
            self.rejects.append(reject_row(view.source, view.plan["sample_id"], stage, error))
        kept = np.array([row not in errors for row in range(len(self.views))])
        self.views, self.places = list(compress(self.views, kept)), list(compress(self.places, kept))
        self.columns = {name: column[kept] for name, column in self.columns.items()}
        self.images = self.images[kept]
        self.counts = None if self.counts is None else self.counts.taken(kept)
        self.labels = {name: column.filter(pa.array(kept)) for name, column in self.labels.items()}
        self.found = None if self.found is None else self.found[kept]
