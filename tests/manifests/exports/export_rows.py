"""Small data sets to export: JPEG images, any row changed as a test needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.format.schema import SCHEMAS, Kind
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, picture, source_rows, synthetic_rows

Change = Callable[[int, dict[str, Any]], None]


def with_image(row: dict[str, Any], seed: int, image_format: str) -> None:
    """Give a row another picture, and the digests that go with it."""
    data, pixels = picture(seed, image_format=image_format)
    row["image"] = {"bytes": data, "path": f"{seed}.{image_format.lower()}"}
    row["image_sha256"] = hashlib.sha256(data).hexdigest()
    if "pixel_sha256" in row:
        size = np.array(pixels.shape[:2], "<i8").tobytes()
        row["pixel_sha256"] = hashlib.sha256(size + pixels.tobytes()).hexdigest()


def nobody(row: dict[str, Any]) -> None:
    """Make a row one that shows nobody, as from noise, labelled evenly over all classes."""
    row |= {"identity": None, "camera": None, "hard_label": -1, "soft_label": [], "soft_label_rest": 1 / 3}
    row |= {"label_rule": "lsro", "label_epsilon": None, "recipe": "gan_lsro", "sources": [], "subject_keys": []}


def dataset_of(uri: str, tables: list[pa.Table], kind: Kind, change: Change | None = None) -> Dataset:
    """A closed data set with a shard for each table; ``change`` gets each row with its number through all."""
    sizes = {number: table.num_rows for number, table in enumerate(tables)}
    footer = FOOTER if kind == "synthetic" else {}
    run = DatasetRun.start(uri, kind, PLAN_ID, sizes, footer=footer)
    first = 0
    for number, table in enumerate(tables):
        rows = table.to_pylist()
        for index, row in enumerate(rows):
            if kind == "synthetic":
                with_image(row, first + index, "JPEG")
            if change is not None:
                change(first + index, row)
        run.sink.commit(number, pa.Table.from_pylist(rows, schema=SCHEMAS[kind]))
        first += len(rows)
    run.close()
    return open_dataset(uri)


def synthetic_dataset(uri: str, change: Change | None = None, sizes: tuple[int, ...] = (7, 5)) -> Dataset:
    """Rows of three people and two cameras, by default 12 in two shards."""
    return dataset_of(uri, [synthetic_rows(number, size) for number, size in enumerate(sizes)], "synthetic", change)


def source_dataset(uri: str, change: Change | None = None, rows: int = 8) -> Dataset:
    """Rows of which half show people in train, a quarter distractors and a quarter junk, both in the gallery."""
    return dataset_of(uri, [source_rows(rows)], "source", change)
