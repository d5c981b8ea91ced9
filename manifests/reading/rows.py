"""Single rows of a data set: by name or by place, from an index without images, fetched from few row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.schema import ROW_ID, SCHEMAS
from manifests.reading.dataset import Dataset


def index_rows(dataset: Dataset, columns: Sequence[str]) -> pa.Table:
    """``columns`` of every row plus its place: ``file`` (number in the snapshot) and ``row`` in that file."""
    return pa.concat_tables([_placed(_no_rows(dataset, columns), columns, 0), *placed_rows(dataset, columns)])


def placed_rows(dataset: Dataset, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The same file by file, for what need not be in memory together."""
    for number, table in enumerate(dataset.shards(columns)):
        yield _placed(table, columns, number)


def parts(dataset: Dataset, columns: Sequence[str], chosen: NDArray[np.int64] | None = None) -> Iterator[pa.Table]:
    """``columns`` of all rows, or of the ``chosen`` numbers counted through all files, file by file and in their order
    there: for what is counted, and need not be in memory together."""
    wanted = None if chosen is None else np.sort(chosen)
    end = 0
    for entry in dataset.snapshot.files:
        start, end = end, end + entry.rows
        if wanted is None:
            yield dataset.read_file(entry, columns)
        elif len(inside := wanted[slice(*np.searchsorted(wanted, (start, end)))]):
            yield dataset.read_file(entry, columns).take(pa.array(inside - start))


def _placed(table: pa.Table, columns: Sequence[str], number: int) -> pa.Table:
    place = {"file": pa.array(np.full(table.num_rows, number, np.int32))}
    place["row"] = pa.array(np.arange(table.num_rows, dtype=np.int32))
    return pa.table({**{name: table.column(name) for name in columns}, **place})


def _no_rows(dataset: Dataset, columns: Sequence[str]) -> pa.Table:
    return SCHEMAS[dataset.kind].empty_table().select(list(columns)).replace_schema_metadata(None)


def places_of(dataset: Dataset, rows: NDArray[np.int64]) -> pa.Table:
    """The ``file`` and ``row`` of the rows of these numbers, counted through all files, as `fetch_rows` takes them."""
    ends = np.cumsum([entry.rows for entry in dataset.snapshot.files], dtype=np.int64)
    files = np.searchsorted(ends, rows, side="right")
    starts = np.concatenate([[0], ends])[files]
    return pa.table({"file": pa.array(files, pa.int32()), "row": pa.array(rows - starts, pa.int32())})


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
        with dataset.open(dataset.snapshot.files[number]) as shard:
            starts = np.concatenate([[0], np.cumsum(shard.group_rows)])
            groups = np.searchsorted(starts, rows[wanted], side="right") - 1
            for group in np.unique(groups):
                members = wanted[groups == group]
                table = shard.read_group(int(group), columns)
                parts.append(table.take(pa.array(rows[members] - starts[group])))
                origin.append(members)
    if not parts:
        return _no_rows(dataset, columns)
    order = np.argsort(np.concatenate(origin), kind="stable")
    return pa.concat_tables(parts).take(pa.array(order))


def find_rows(dataset: Dataset, names: Sequence[str], columns: Sequence[str] = ()) -> pa.Table:
    """The rows that ``names`` name, by their whole ids or by beginnings that only one id has, in that order.

    The table has the id, ``columns`` and the place as `index_rows` gives it.

    Raises:
        UserError: a name fits no row, or several.
    """
    column = ROW_ID[dataset.kind]
    index = index_rows(dataset, [column, *columns])
    ids = np.array(index.column(column).to_pylist(), dtype=str)
    order = np.argsort(ids)
    ends = [np.searchsorted(ids, [name + beyond for name in names], sorter=order) for beyond in ("", "\uffff")]
    for name, start, end in zip(names, *ends, strict=True):
        if start == end:
            raise UserError(f"no row of {dataset.uri} has a {column} that begins with {name!r}")
        if end - start > 1:
            some = ", ".join(ids[order[start : start + 2]])
            raise UserError(f"{end - start} rows of {dataset.uri} begin with {name!r} ({some}, ...): add digits")
    return index.take(pa.array(order[ends[0]])) if names else index.slice(0, 0)
