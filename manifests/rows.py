"""Single rows by their place in a data set: an index without images, and a fetch that reads few row groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.dataset import Dataset


def index_rows(dataset: Dataset, columns: Sequence[str]) -> pa.Table:
    """``columns`` of every row plus its place: ``file`` (number in the snapshot) and ``row`` in that file."""
    tables = []
    for number, table in enumerate(dataset.shards(columns)):
        place = {"file": pa.array(np.full(table.num_rows, number, np.int32))}
        place["row"] = pa.array(np.arange(table.num_rows, dtype=np.int32))
        tables.append(pa.table({**{name: table.column(name) for name in columns}, **place}))
    return pa.concat_tables(tables) if tables else pa.table({})


def fetch_rows(dataset: Dataset, places: pa.Table, columns: Sequence[str]) -> pa.Table:
    """``columns`` of the rows at ``places`` (columns ``file`` and ``row``), in the order of ``places``.

    Only the row groups that hold a wanted row are read, one at a time.
    """
    files = places.column("file").to_numpy()
    rows = places.column("row").to_numpy()
    parts: list[pa.Table] = []
    origin: list[np.ndarray] = []
    for number in np.unique(files):
        wanted = np.flatnonzero(files == number)
        with dataset.storage.open(dataset.snapshot.files[number].path) as source:
            parquet = pq.ParquetFile(source)
            sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
            starts = np.concatenate([[0], np.cumsum(sizes)])
            groups = np.searchsorted(starts, rows[wanted], side="right") - 1
            for group in np.unique(groups):
                members = wanted[groups == group]
                table = parquet.read_row_group(int(group), columns=list(columns))
                parts.append(table.take(pa.array(rows[members] - starts[group])))
                origin.append(members)
    if not parts:
        return pa.table({})
    order = np.argsort(np.concatenate(origin), kind="stable")
    return pa.concat_tables(parts).take(pa.array(order))
