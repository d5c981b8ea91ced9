"""What a person opens first: every row without its picture in one table, and a data set card."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from manifests import parquet
from manifests.dataset import Dataset
from manifests.schema import SCHEMAS

SAMPLES_META = "samples_meta.parquet"
CARD = "README.md"
_PICTURES = ("image", "mask")


def write_inspection_files(dataset: Dataset) -> None:
    """Write ``samples_meta.parquet`` (all columns but pictures, plus file and row) and ``README.md``."""
    _write_samples_meta(dataset)
    dataset.storage.write(CARD, _card(dataset).encode())


def _write_samples_meta(dataset: Dataset) -> None:
    schema = SCHEMAS[dataset.kind]
    columns = [name for name in schema.names if name not in _PICTURES]
    place: list[pa.Field[Any]] = [pa.field("file", pa.string()), pa.field("row", pa.int32())]
    meta = pa.schema([*place, *(schema.field(name) for name in columns)])
    with (
        dataset.storage.writer(SAMPLES_META) as stream,
        parquet.open_writer(stream, meta, dataset.footer) as writer,
    ):
        for entry, table in zip(dataset.snapshot.files, dataset.shards(columns), strict=True):
            files = pa.array([entry.path] * table.num_rows, pa.string())
            rows = pa.array(np.arange(table.num_rows, dtype=np.int32))
            writer.write_table(pa.Table.from_arrays([files, rows, *table.columns], schema=meta))


def _card(dataset: Dataset) -> str:
    return f"# {dataset.kind} data set\n\n{dataset.snapshot.rows} rows\n"
