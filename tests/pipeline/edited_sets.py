"""Copies of data sets with some values changed, closed as if they had been written so."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from manifests.reading.dataset import Dataset, open_dataset
from manifests.writing.run import DatasetRun

Rows = list[dict[str, Any]]


def edited(uri: str, copy: Path, change: Callable[[Rows], object]) -> str:
    """The data set at ``uri`` in as many shards at ``copy``, its rows as ``change`` leaves them."""
    dataset = open_dataset(uri)
    table = dataset.read()
    rows = table.to_pylist()
    change(rows)
    ends = list(accumulate(entry.rows for entry in dataset.snapshot.files))[:-1]
    parts = [rows[start:end] for start, end in pairwise([0, *ends, len(rows)])]
    planned = {number: len(part) for number, part in enumerate(parts)}
    run = DatasetRun.start(str(copy), dataset.kind, "edited", planned, footer=dataset.footer)
    for number, part in enumerate(parts):
        run.sink.commit(number, table.from_pylist(part, schema=table.schema))
    run.close()
    return str(copy)


def flip_last_byte(dataset: Dataset, number: int = 0) -> Path:
    """Change one bit of the data set's file of that number, past all its pages; returns its path."""
    path = Path(dataset.files()[number])
    data = path.read_bytes()
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    return path
