"""Questions in SQL, by polars, over every column but the pictures; a question that makes no sense is one line.

Struct fields are reached by a dot: ``quality.foreground_change > 0.1``, ``target.camera = 3``. A condition also knows
``row_number``, the row's place counted through all files.
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError, StructFieldNotFoundError

from manifests.errors import UserError, one_line
from manifests.reading.dataset import Dataset

PICTURES = ("image", "mask")
"""Columns of encoded pictures; no question here reads them."""
TABLE = "data"
"""The data set's name in a SQL statement."""
_SCANNED = re.compile(r"^\W*(\w+) SCAN", re.MULTILINE)
"""In polars' description of a plan, what kind of file it reads."""

RowNumbers = NDArray[np.int64]
"""Places of rows, counted through all files of a snapshot in their order."""


def metadata(dataset: Dataset) -> pl.LazyFrame:
    """A lazy frame over all rows without their pictures."""
    return dataset.scan().drop(PICTURES, strict=False)


def rows_where(dataset: Dataset, condition: str) -> RowNumbers:
    """The numbers of the rows for which the SQL expression ``condition`` holds, in order.

    Raises:
        UserError: polars cannot read the expression, a column is not there, or it gives no truth value for each row.

    Example:
        >>> from manifests import open_dataset, rows_where
        >>> rows_where(open_dataset("runs/market"), "identity = '0007'").tolist()
        [3, 4, 5]
    """
    from manifests.reading.sql_guard import checked_expression  # its parser takes a while to import

    numbered = metadata(dataset).with_row_index("row_number")
    try:
        asked = pl.sql_expr(checked_expression(condition))
        chosen = numbered.filter(asked).select("row_number").collect()
        few = numbered.head(2).collect()
        if few.height == 2 and few.select(asked).height == 1:
            raise UserError(f"--where {condition!r}: one answer for all rows together: sums and counts go into --sql")
    except ValueError as error:
        raise UserError(f"--where {condition!r}: {error}") from None
    except PolarsError as error:
        raise UserError(f"--where {condition!r}: {_in_a_line(error, dataset)}") from None
    return chosen["row_number"].to_numpy().astype(np.int64)


def query(dataset: Dataset, statement: str) -> pl.DataFrame:
    """The answer to a SQL ``statement`` about the table ``data``.

    Raises:
        UserError: it is not one SELECT about that table alone, polars cannot answer it, or a column is not there.

    Example:
        >>> from manifests import open_dataset, query
        >>> market = open_dataset("runs/market")
        >>> query(market, "SELECT identity, count(*) AS images FROM data GROUP BY 1 ORDER BY 1").rows()
        [('0002', 3), ('0007', 3)]
    """
    from manifests.reading.sql_guard import checked_query

    try:
        plan = pl.SQLContext({TABLE: metadata(dataset)}).execute(checked_query(statement, TABLE), eager=False)
        if set(_SCANNED.findall(plan.explain(optimized=False))) - {"PYTHON"}:  # ours: see `Dataset.scan`
            raise ValueError("it reads what is not the data set")
        return plan.collect()
    except ValueError as error:
        only = f"one SELECT about the table {TABLE!r} is answered, and nothing else"
        raise UserError(f"--sql {statement!r}: {error}; {only}") from None
    except PolarsError as error:
        raise UserError(f"--sql {statement!r}: {_in_a_line(error, dataset)}; the table is {TABLE!r}") from None


def _in_a_line(error: PolarsError, dataset: Dataset) -> str:
    """What polars says, without the plan or expression that it quotes after an empty line."""
    said = one_line(str(error).partition("\n\n")[0])
    if not isinstance(error, StructFieldNotFoundError):
        return said
    structs = [(name, type_) for name, type_ in metadata(dataset).collect_schema().items() if type_.is_nested()]
    known = [f"{name}.{one.name}" for name, type_ in structs if isinstance(type_, pl.Struct) for one in type_.fields]
    return f"no field {said!r}; known: {', '.join(known)}"
