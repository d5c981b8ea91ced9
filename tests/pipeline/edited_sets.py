"""Copies of data sets with some values changed, closed as if they had been written so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from manifests.reading.dataset import Dataset, open_dataset
from manifests.writing.run import DatasetRun

Rows = list[dict[str, Any]]


def edited(uri: str, copy: Path, change: Callable[[Rows], object]) -> str:
    """The data set at ``uri`` in one shard at ``copy``, its rows as ``change`` leaves them."""
    dataset = open_dataset(uri)
    table = dataset.read()
    rows = table.to_pylist()
    change(rows)
    run = DatasetRun.start(str(copy), dataset.kind, "edited", {0: len(rows)}, footer=dataset.footer)
    run.sink.commit(0, table.from_pylist(rows, schema=table.schema))
    run.close()
    return str(copy)


def flip_last_byte(dataset: Dataset) -> Path:
    """Change one bit of the data set's first file, past all its pages; returns its path."""
    path = Path(dataset.files()[0])
    data = path.read_bytes()
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    return path
