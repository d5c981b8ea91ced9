"""Rows by place."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from manifests.reading.dataset import open_dataset
from manifests.reading.rows import fetch_rows, find_rows, index_rows
from manifests.writing.run import DatasetRun
from tests.manifests.manifest_rows import source_rows


def test_rows_lie_where_the_index_says(tmp_path: Path) -> None:
    rows = source_rows(5)
    run = DatasetRun.start(str(tmp_path), "source", "five", {0: 2, 1: 3})
    run.sink.commit(0, rows.slice(0, 2))
    run.sink.commit(1, rows.slice(2))
    run.close()
    dataset = open_dataset(str(tmp_path))
    index = index_rows(dataset, ["image_id"])
    assert index.select(["file", "row"]).to_pylist() == [
        {"file": file, "row": row} for file, row in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    ]
    backwards = index.take(pa.array([4, 0, 2]))
    assert fetch_rows(dataset, backwards, ["image_id"]).column(0).to_pylist() == backwards.column(0).to_pylist()


def test_an_index_of_no_rows_has_its_columns(tmp_path: Path) -> None:
    DatasetRun.start(str(tmp_path), "synthetic", "nothing", {}).close()
    dataset = open_dataset(str(tmp_path))
    index = index_rows(dataset, ["identity", "target"])
    assert (index.num_rows, index.column_names) == (0, ["identity", "target", "file", "row"])
    assert fetch_rows(dataset, index, ["target"]).schema.names == ["target"]
    assert find_rows(dataset, []).num_rows == 0
