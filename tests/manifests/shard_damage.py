"""What can befall the Parquet file of a shard: other bytes, rows, columns; and a log that agrees with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.disk import parquet


def flipped(place: Callable[[bytes], int]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[place(bytes(data))] ^= 0x10
        path.write_bytes(data)

    return change


def page_of(column: str) -> Callable[[bytes], int]:
    """Where the first page of a column has its bytes."""

    def place(data: bytes) -> int:
        group = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
        found = next(one for one in map(group.column, range(group.num_columns)) if one.path_in_schema == column)
        start = found.dictionary_page_offset or found.data_page_offset
        return int(start + found.total_compressed_size // 2)

    return place


def rewritten(change: Callable[[pa.Table], pa.Table], footer: bool = True) -> Callable[[Path], None]:
    """The file written again with other rows or columns."""

    def rewrite(path: Path) -> None:
        table = pq.read_table(path)
        kept = parquet.footer_of(table.schema) if footer else {}
        path.write_bytes(parquet.encode(change(table), kept).to_pybytes())

    return rewrite


def seal(root: Path, path: Path, logs: Iterable[Path]) -> None:
    """Let ``logs`` say of a shard what it is now: as in the data set of a stranger who wrote it so."""
    data, before = path.read_bytes(), path.relative_to(root).as_posix()
    digest = hashlib.sha256(data).hexdigest()
    after = f"{before.rpartition('/')[0]}/{path.name[:7]}{digest[:16]}{path.suffix}"
    rows = pq.read_metadata(path).num_rows
    path.rename(root / after)
    for log in logs:
        log.write_text(json.dumps(_resealed(json.loads(log.read_bytes()), before, after, data, digest, rows)))


def _resealed(value: Any, before: str, after: str, data: bytes, digest: str, rows: int) -> Any:
    if isinstance(value, list):
        return [_resealed(one, before, after, data, digest, rows) for one in value]
    if not isinstance(value, dict):
        return after if value == before else value
    if value.get("path") == before:
        return {**value, "path": after, "bytes": len(data), "sha256": digest, "rows": rows}
    if before in (value.get("name"), value.get("contentUrl")):
        value = {**value, "sha256": digest} if "sha256" in value else {**value, "digest": {"sha256": digest}}
    return {key: _resealed(one, before, after, data, digest, rows) for key, one in value.items()}


def filled_column(name: str, value: Any, type_: pa.DataType | None = None) -> Callable[[Path], None]:
    """Every row of the file with ``value`` in a column."""

    def change(table: pa.Table) -> pa.Table:
        place, field = table.schema.get_field_index(name), table.schema.field(name)
        values = pa.array([value] * table.num_rows, type_ or field.type)
        return table.set_column(place, field if type_ is None else pa.field(name, type_), values)

    return rewritten(change)


def not_text(table: pa.Table) -> pa.Table:
    """A text column whose bytes are no UTF-8."""
    place = table.schema.get_field_index("domain")
    values = pa.array([b"\xff\xfe"] * table.num_rows, pa.binary()).view(pa.string())
    return table.set_column(place, table.schema.field(place), values)
