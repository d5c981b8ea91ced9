"""Data sets that a job works from: of the right kind, with the files that were written, and rows that can be used.

What can be told without a picture is told here, before any work; pictures, masks and poses are looked at row by row
where they are used.
"""

from __future__ import annotations

import polars as pl

from manifests.common.pictures import MAX_PIXELS
from manifests.errors import UserError
from manifests.format.schema import ROW_ID, ROW_KEY, Kind
from manifests.format.skeleton import KEYPOINTS
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.shard_check import check_shards

_AREA = pl.col("width").cast(pl.Int64) * pl.col("height")
_FAULTS = {
    "no SHA-256 as image_sha256": ~pl.col("image_sha256").str.contains(r"^[0-9a-f]{64}$"),
    f"a width or height that no picture of {MAX_PIXELS} pixels has": (pl.min_horizontal("width", "height") < 1)
    | (_AREA > MAX_PIXELS),
}
_ANNOTATION_FAULTS = {
    f"other than {KEYPOINTS} keypoints": pl.col("keypoints").list.len().fill_null(KEYPOINTS) != KEYPOINTS
}
_usable: set[tuple[str, str]] = set()
"""Place and digest of the data sets whose columns this process has looked at."""


def open_input(uri: str, *kinds: Kind, flag: str = "") -> Dataset:
    """The data set at ``uri`` in its newest closed state; ``flag`` is what named it, for messages.

    Raises:
        UserError: there is none, it is of none of ``kinds``, a file is not the one that was written, ids are not
            unique, or a row cannot be of any picture.
    """
    dataset = open_dataset(uri)
    if dataset.kind not in kinds:
        see = f": see {flag}" if flag else ""
        raise UserError(f"{uri} holds {dataset.kind} rows, {' or '.join(kinds)} rows are needed{see}")
    check_shards(dataset)
    seen = dataset.uri, dataset.digest()
    if seen not in _usable:
        _check_columns(dataset)
        _usable.add(seen)
    return dataset


def _check_columns(dataset: Dataset) -> None:
    faults = _FAULTS | (_ANNOTATION_FAULTS if dataset.kind == "annotation" else {})
    own = ["keypoints"] if dataset.kind == "annotation" else []
    key = ROW_KEY[dataset.kind]
    rows = pl.DataFrame(dataset.read(list(dict.fromkeys([*key, "image_sha256", "width", "height", *own]))))
    for fault, found in faults.items():
        bad = rows.filter(found.fill_null(True))
        if bad.height:
            _refuse(dataset, f"{bad.height} of its {rows.height} rows have {fault}", bad[ROW_ID[dataset.kind]][0])
    repeated = rows.filter(pl.struct(key).is_duplicated())
    if repeated.height:
        _refuse(dataset, f"{repeated.height} of its {rows.height} rows share their id", repeated[key[0]][0])


def _refuse(dataset: Dataset, fault: str, row: str) -> None:
    raise UserError(f"{dataset.uri}: {fault} (row {row}): `python -m manifests validate {dataset.uri}` lists them")
