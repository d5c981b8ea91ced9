"""Reading a data set: the newest snapshot and nothing beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.errors import UserError
from manifests.log import RUN, BrokenDatasetError, FileEntry, Snapshot, load
from manifests.schema import ADDED_COLUMNS, REJECT_SCHEMA, SCHEMAS, VERSION_KEY, Kind, check_version, completed
from manifests.soft_labels import ClassMap
from manifests.storage import Storage, open_storage


@dataclass(frozen=True)
class Dataset:
    """A closed data set at ``uri``, as ``snapshot`` has it; runs that go on meanwhile do not show."""

    uri: str
    snapshot: Snapshot
    storage: Storage

    @property
    def kind(self) -> Kind:
        """What its rows are."""
        return self.snapshot.kind

    @property
    def footer(self) -> dict[str, str]:
        """The key/values that the run put into every shard."""
        return self.snapshot.footer

    @property
    def classes(self) -> ClassMap | None:
        """Identity -> class number, where the rows carry labels."""
        text = self.footer.get(ClassMap.FOOTER_KEY)
        return ClassMap.from_json(text) if text is not None else None

    @property
    def run(self) -> dict[str, Any]:
        """The run's record (``run.json``); empty where it is missing."""
        return load(self.storage, RUN) or {}

    def files(self) -> list[str]:
        """Paths or URIs of the Parquet files, for any other tool."""
        return [self.storage.locate(entry.path) for entry in self.snapshot.files]

    def scan(self) -> pl.LazyFrame:
        """A lazy polars frame over all rows; columns that a query does not name are not read.

        Raises:
            UserError: a file of the snapshot is missing.
        """
        self._check_present()
        if not self.snapshot.files:
            return _empty(self.kind).lazy()
        if self.uri.startswith("memory:"):
            return _scan([self._bytes(entry) for entry in self.snapshot.files], self.kind)
        return _scan(self.files(), self.kind)

    def read(self, columns: Sequence[str] | None = None, filter: pc.Expression | None = None) -> pa.Table:
        """Rows in memory: only ``columns`` (all by default), only where ``filter`` holds."""
        tables = [self.read_file(entry, columns, filter) for entry in self.snapshot.files]
        if not tables:
            empty = SCHEMAS[self.kind].empty_table()
            return empty.select(list(columns)) if columns is not None else empty
        return pa.concat_tables(table.replace_schema_metadata(tables[0].schema.metadata) for table in tables)

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """One table a file, in the order of the shards; never more than one in memory."""
        for entry in self.snapshot.files:
            yield self.read_file(entry, columns)

    def rejects(self) -> pa.Table:
        """What could not be read or made, with reasons."""
        tables = [self.read_file(entry) for entry in self.snapshot.rejects]
        return pa.concat_tables([REJECT_SCHEMA.empty_table(), *(table.cast(REJECT_SCHEMA) for table in tables)])

    def digest(self) -> str:
        """SHA-256 over the digests of the files: what a plan records as its input."""
        text = "\n".join(f"{entry.shard} {entry.sha256}" for entry in self.snapshot.files)
        return hashlib.sha256(f"{self.kind}\n{text}".encode()).hexdigest()

    def read_file(
        self, entry: FileEntry, columns: Sequence[str] | None = None, filter: pc.Expression | None = None
    ) -> pa.Table:
        """The same of one file of the snapshot, rejects included."""
        return completed(self.read_as_written(entry, columns, filter), columns)

    def read_as_written(
        self, entry: FileEntry, columns: Sequence[str] | None = None, filter: pc.Expression | None = None
    ) -> pa.Table:
        """The same in the schema of the version that wrote it: without columns that it did not know."""
        try:
            with self.storage.open(entry.path) as source:
                table = pq.read_table(source, columns=_present(source, columns), filters=filter)
        except pa.ArrowInvalid as error:
            reason = str(error).splitlines()[0]
            raise BrokenDatasetError(f"cannot read {self.storage.locate(entry.path)}: {reason}", entry.path) from None
        version = (table.schema.metadata or {}).get(VERSION_KEY)
        if version is not None:
            check_version(version.decode(errors="replace"), self.storage.locate(entry.path))
        return table

    def _check_present(self) -> None:
        """Polars would find out later, in words of its own."""
        folders = {entry.path.rpartition("/")[0] for entry in self.snapshot.files}
        there = {found.path for folder in folders for found in self.storage.list(folder)}
        for entry in self.snapshot.files:
            if entry.path not in there:
                raise BrokenDatasetError(f"{self.storage.locate(entry.path)} is missing", entry.path)

    def _bytes(self, entry: FileEntry) -> bytes:
        data = self.storage.read(entry.path)
        if data is None:
            raise BrokenDatasetError(f"{self.storage.locate(entry.path)} is missing", entry.path)
        return data


def open_dataset(uri: str) -> Dataset:
    """The data set at a path or URI in its newest closed state.

    Raises:
        UserError: there is none, or its first run has not been closed, or a newer version wrote it.
    """
    storage = open_storage(uri)
    snapshot = Snapshot.newest(storage)
    if snapshot is not None:
        return Dataset(storage.uri, snapshot, storage)
    run = load(storage, RUN)
    if run is None:
        raise UserError(f"no data set at {storage.uri}: it has no {RUN} and no snapshot")
    status = run.get("status", "unknown")
    because = f" ({run['reason']})" if run.get("reason") else ""
    raise UserError(
        f"the data set at {storage.uri} is not finished: its run is {status}{because}; "
        "run the same command again to complete it"
    )


def _present(source: Any, columns: Sequence[str] | None) -> list[str] | None:
    """Those of ``columns`` that the Parquet file has: an older version knew fewer."""
    if columns is None or not set(columns) & set(ADDED_COLUMNS):
        return list(columns) if columns is not None else None
    known = pq.read_schema(source).names
    return [name for name in columns if name in known or name not in ADDED_COLUMNS]


def _scan(files: list[str] | list[bytes], kind: Kind) -> pl.LazyFrame:
    """Files of this and of older versions as one frame."""
    lenient = pl.ScanCastOptions(missing_struct_fields="insert")
    return pl.scan_parquet(
        files, glob=False, schema=_empty(kind).schema, missing_columns="insert", cast_options=lenient
    )


def _empty(kind: Kind) -> pl.DataFrame:
    frame = pl.from_arrow(SCHEMAS[kind].empty_table())
    assert isinstance(frame, pl.DataFrame)
    return frame
