"""What an export of ours, read again, says of itself: the tables beside a Market-1501 folder know more than its names.

There a person is called by a number, an unknown camera c0 and a missing sequence s0; `manifests.exports.market1501`
writes down what they were. A generated image keeps its terms, and the data set in which the person on it is named, so
that an erasure there finds it here. A file that the table does not name is read by its name alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import pyarrow as pa

from manifests.errors import UserError, first_line
from manifests.exports.market1501 import LABELS
from manifests.format.schema import ROW_ID
from manifests.reading.people import SHOWN_DATASET
from pipeline.sources.files import ROLES, Origin, SourceFile, SourceRoot
from pipeline.sources.label_table import read_parquet

_TYPES = {
    **dict.fromkeys(("file", "identity", "role", "licence", "consent_basis"), pl.String),
    **dict.fromkeys(("camera", "sequence"), pl.Int32),
    "frame": pl.Int64,
}
_NEEDED = {"file", "number", "identity", "camera", "split"}
Row = Mapping[str, Any]


def read_labels(root: SourceRoot) -> dict[str, Row]:
    """By the file's path, what the export's table says of it; empty where no table of ours lies there.

    Raises:
        UserError: the table cannot be read.
    """
    if not root.has_file(LABELS):
        return {}
    try:
        table = read_parquet(root.path / LABELS)
        columns = set(table.columns)
        if not columns >= _NEEDED or columns.isdisjoint((ROW_ID["source"], ROW_ID["synthetic"])):
            return {}
        wanted = [pl.col(name).cast(type_) for name, type_ in _TYPES.items() if name in columns]
        rows = table.select(*wanted, *([SHOWN_DATASET] if "sources" in columns else []))
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise UserError(f"cannot read the table of an export, {root.path / LABELS}: {first_line(error)}") from None
    return {str(row["file"]): row for row in rows.iter_rows(named=True)}


def as_it_was(file: SourceFile, row: Row | None) -> SourceFile:
    """``file``, read by its name, with what the table says instead."""
    if row is None or file.fault is not None:
        return file
    generated = "dataset_id" in row
    if "sequence" in row:
        places = {name: row[name] for name in ("camera", "sequence", "frame")}
    else:  # a generated image has neither sequence nor frame; exports of older versions say 0 for an unknown camera
        frame = None if generated else file.frame
        places = {"camera": row["camera"] or None, "sequence": file.sequence or None, "frame": frame}
    if any(value is not None and value < 0 for value in places.values()):
        return file
    role = next((one for one in ROLES if one == row.get("role")), file.role)
    origin = Origin(row.get("dataset_id"), row.get("licence"), row.get("consent_basis"))
    return replace(file, role=role, identity=row["identity"], **places, origin=origin if any(origin) else None)
