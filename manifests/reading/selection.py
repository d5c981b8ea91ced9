"""Some rows of a data set, chosen by conditions: a view, which copies nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from manifests.format.schema import SCHEMAS
from manifests.reading.dataset import Dataset
from manifests.reading.query import RowNumbers, rows_where
from manifests.reading.rows import fetch_rows, places_of

if TYPE_CHECKING:
    from manifests.exports.torch import ReIDDataset


@dataclass(frozen=True, repr=False, eq=False)
class Selection:
    """Those ``rows`` of ``dataset``, by their numbers through all files, ascending; see `Dataset.where`.

    A notebook shows it as a grid of small pictures.
    """

    dataset: Dataset
    rows: RowNumbers

    @classmethod
    def all_of(cls, dataset: Dataset) -> Selection:
        """Every row."""
        return cls(dataset, np.arange(dataset.snapshot.rows, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, condition: str) -> Selection:
        """Those of them for which this ``condition`` holds too; as `Dataset.where`."""
        found = rows_where(self.dataset, condition)
        return Selection(self.dataset, np.intersect1d(self.rows, found, assume_unique=True))

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows in memory: only ``columns`` (all by default), and no row group that holds none of them.

        Raises:
            UserError: a file is missing or cannot be read.
        """
        names = SCHEMAS[self.dataset.kind].names if columns is None else columns
        return fetch_rows(self.dataset, places_of(self.dataset, self.rows), names)

    def to_torch(self, transform: Callable[[Any], Any] | None = None, **options: Any) -> ReIDDataset:
        """The rows for a ``DataLoader``: `manifests.exports.torch.ReIDDataset`, which says what ``transform`` gets
        (uint8 ``(3, H, W)``, RGB in [0, 255]) and which ``options`` there are (``columns``, ``label``, ``classes``,
        ``cache_bytes``).

        Raises:
            UserError: there is no row, or the rows have no images.
        """
        from manifests.exports.torch import ReIDDataset

        return ReIDDataset(self, transform=transform, **options)

    def __repr__(self) -> str:
        data = self.dataset
        return f"<Selection of {data.uri}: {len(self)} of {data.snapshot.rows} {data.kind} rows>"

    def _repr_html_(self) -> str:
        from manifests.reading.grid import grid

        return grid(self)
