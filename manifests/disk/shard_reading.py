"""Reading the files of a snapshot, strictly: every fault of one is a line that names it.

Opening a file checks what costs nothing: its size, its number of rows, its columns and what kind of rows it says it
has. Reading it whole checks its SHA-256 first, so that nothing damaged is handed on. What is read in part is as right
as the bytes are; `manifests.checking.validate` reads all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.disk.parquet import footer_of
from manifests.disk.snapshots import MEND, BrokenDatasetError, FileEntry
from manifests.errors import one_line
from manifests.format.schema import (
    IMAGE,
    KIND_KEY,
    REJECT_SCHEMA,
    REQUIRED,
    SCHEMAS,
    VERSION_KEY,
    Kind,
    as_written,
    check_version,
    completed,
    is_newer,
)
from manifests.storage.whole_files import Storage

UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, MemoryError, RuntimeError)
"""What pyarrow raises on bytes that are no Parquet file of ours."""
_CHUNK = 1 << 20


class Shard:
    """One file of a snapshot, open for reading: rows of ``schema``, or of what an older version had in its place."""

    def __init__(self, source: pa.NativeFile, entry: FileEntry, schema: pa.Schema, where: str) -> None:
        self._source, self._entry, self._schema, self._where = source, entry, schema, where
        with self._named():
            size = source.size()
            if size != entry.bytes:
                raise self._fault(f"is {size} bytes, the snapshot says {entry.bytes}")
            self._file = pq.ParquetFile(source)
            self._check_form(self._file.schema_arrow, self._file.metadata.num_rows)

    @property
    def group_rows(self) -> list[int]:
        """Rows of each row group."""
        footer = self._file.metadata
        return [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]

    @property
    def footer(self) -> dict[str, str]:
        """The file's key/value metadata."""
        with self._named():
            return footer_of(self._file.schema_arrow)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows as the version that wrote them did: without columns that it did not know."""
        known = self._known(columns)
        with self._named():
            return self._checked(self._file.read(columns=known).select(known))

    def read_group(self, group: int, columns: Sequence[str] | None = None, threads: bool = True) -> pa.Table:
        """The rows of one row group with all ``columns``; what an older version did not know is null."""
        known = self._known(columns)
        with self._named():
            table = self._file.read_row_group(group, columns=known, use_threads=threads)
            return completed(self._checked(table.select(known)), columns)

    def check_bytes(self) -> None:
        """Read the file once, in small pieces.

        Raises:
            BrokenDatasetError: its SHA-256 is not the snapshot's.
        """
        for _ in self.pieces():
            pass

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the file; raises as `check_bytes` does, after the last of them."""
        digest = hashlib.sha256()
        self._source.seek(0)
        while data := self._piece():
            digest.update(data)
            yield data
        if digest.hexdigest() != self._entry.sha256:
            raise self._fault("has changed: its SHA-256 is not the snapshot's")

    def _piece(self) -> bytes:
        with self._named():
            return bytes(self._source.read(_CHUNK))

    def _known(self, columns: Sequence[str] | None) -> list[str]:
        """Those of ``columns`` (or of all that are ours) that the file has."""
        present = set(self._file.schema_arrow.names)
        return [name for name in (self._schema.names if columns is None else columns) if name in present]

    def _check_form(self, found: pa.Schema, rows: int) -> None:
        metadata, ours = found.metadata or {}, self._schema.metadata or {}
        version = metadata.get(VERSION_KEY, b"").decode(errors="replace")
        check_version(version, self._where)
        if metadata.get(KIND_KEY) != ours[KIND_KEY]:
            raise self._fault(f"does not hold {ours[KIND_KEY].decode()} rows")
        expected = as_written(self._schema, version)
        same = {one.name: one.type for one in found}
        wrong = [one.name for one in expected if same.get(one.name) != one.type]
        if wrong or (len(same) > len(expected) and not is_newer(version)):
            raise self._fault(f"does not have the columns of schema {version}{': ' if wrong else ''}{', '.join(wrong)}")
        if rows != self._entry.rows:
            raise self._fault(f"has {rows} rows, the snapshot says {self._entry.rows}")

    def _checked(self, table: pa.Table) -> pa.Table:
        """``table`` after a look at what Arrow takes on trust: text that is UTF-8, and values where there must be."""
        table.validate(full=True)
        required = REQUIRED[(self._schema.metadata or {})[KIND_KEY].decode()]
        holes = [
            name
            for name, column in zip(table.schema.names, table.columns, strict=True)
            if (name in required and column.null_count) or any(map(_has_holes_inside, column.chunks))
        ]
        if holes:
            raise self._fault(f"has nulls where there must be values: {', '.join(holes)}")
        return table

    def _fault(self, message: str) -> BrokenDatasetError:
        return BrokenDatasetError(f"{self._where} {message}; {MEND}", self._entry.path)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of pyarrow as a line that names the file."""
        try:
            yield
        except UNREADABLE as error:
            raise self._fault(f"cannot be read: {one_line(error)}") from None


@contextlib.contextmanager
def open_shard(storage: Storage, entry: FileEntry, kind: Kind) -> Iterator[Shard]:
    """The file of ``entry`` in a data set of ``kind``: its rows, or those that were rejected.

    Raises:
        BrokenDatasetError: it is not the file that the snapshot names, or none that can be read; `Shard`'s methods
            raise it too.
        UserError: it is missing, or a newer major version wrote it.
    """
    schema = REJECT_SCHEMA if entry.path.startswith("rejects/") else SCHEMAS[kind]
    with storage.open(entry.path) as source:
        yield Shard(source, entry, schema, storage.locate(entry.path))


def _has_holes_inside(values: pa.Array[Any]) -> bool:
    """Whether something is null in a list, or a picture is there without its bytes; scores and targets may be."""
    if values.type == IMAGE:
        return bool(values.field("bytes").null_count)
    if not pa.types.is_list(values.type):
        return False
    items = values.flatten()
    fields = [items.field(place) for place in range(items.type.num_fields)] if pa.types.is_struct(items.type) else []
    return any(one.null_count for one in (items, *fields))
