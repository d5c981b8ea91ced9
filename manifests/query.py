"""Questions in SQL, by polars, over every column but the pictures; a question that makes no sense is one line.

Struct fields are reached by a dot: ``quality.foreground_change > 0.1``, ``target.camera = 3``. A condition also knows
``row_number``, the row's place counted through all files.
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from manifests.dataset import Dataset
from manifests.errors import UserError

PICTURES = ("image", "mask")
"""Columns of encoded pictures; no question here reads them."""
TABLE = "data"
"""The data set's name in a SQL statement."""

_ASIDE = re.compile(r"""'(?:[^']|'')*'|"(?P<name>[^"]*)"|/\*.*?\*/|--[^\n]*""", re.DOTALL)
"""Values, names in quotes and comments: what may hold any text."""
_SELECT = re.compile(r"\s*(SELECT|WITH)\b[^;]*;?\s*$", re.IGNORECASE)
_FILE_READER = re.compile(r"\b(read|scan)_\w+\s*\(", re.IGNORECASE)

RowNumbers = NDArray[np.int64]
"""Places of rows, counted through all files of a snapshot in their order."""


def metadata(dataset: Dataset) -> pl.LazyFrame:
    """A lazy frame over all rows without their pictures."""
    return dataset.scan().drop(PICTURES, strict=False)


def rows_where(dataset: Dataset, condition: str) -> RowNumbers:
    """The numbers of the rows for which the SQL expression ``condition`` holds, in order.

    Raises:
        UserError: polars cannot read the expression, a column is not there, or it gives no truth value.
    """
    numbered = metadata(dataset).with_row_index("row_number")
    try:
        chosen = numbered.filter(pl.sql_expr(condition)).select("row_number").collect()
    except PolarsError as error:
        raise UserError(f"--where {condition!r}: {_first_line(error)}") from None
    return chosen["row_number"].to_numpy().astype(np.int64)


def query(dataset: Dataset, statement: str) -> pl.DataFrame:
    """The answer to a SQL ``statement`` about the table ``data``.

    Raises:
        UserError: it is no SELECT, reads files, polars cannot read it, or a table or column is not there.
    """
    bare = _ASIDE.sub(lambda found: found["name"] or " ", statement)
    if not _SELECT.match(bare) or _FILE_READER.search(bare):
        raise UserError(f"--sql {statement!r}: one SELECT about the table {TABLE!r} is answered, and nothing else")
    try:
        answer: pl.DataFrame = pl.SQLContext({TABLE: metadata(dataset)}).execute(statement, eager=True)
    except PolarsError as error:
        raise UserError(f"--sql {statement!r}: {_first_line(error)}; the table is {TABLE!r}") from None
    return answer


def _first_line(error: PolarsError) -> str:
    return str(error).strip().partition("\n")[0]
