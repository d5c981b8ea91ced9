"""Reading a data set: the newest snapshot and nothing beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from polars.io.plugins import register_io_source

from manifests.disk.run_form import RunRecord
from manifests.disk.run_record import closed_state, load_run
from manifests.disk.shard_reading import Shard, open_shard
from manifests.disk.snapshots import MEND, RUN, BrokenDatasetError, FileEntry, Snapshot, snapshot_path
from manifests.errors import UserError
from manifests.format.schema import REJECT_SCHEMA, SCHEMAS, Kind, completed
from manifests.format.soft_labels import ClassMap
from manifests.reading.frames import frame_of
from manifests.storage.whole_files import Storage, open_storage

if TYPE_CHECKING:
    from manifests.exports.torch import ReIDDataset
    from manifests.reading.selection import Selection


@dataclass(frozen=True, repr=False)
class Dataset:
    """A closed data set at ``uri``, as ``snapshot`` has it; runs that go on meanwhile do not show.

    A notebook shows it as a grid of small pictures.
    """

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
        """Identity -> class number, where the rows carry labels.

        Raises:
            BrokenDatasetError: the snapshot numbers no classes where it says that it does.
        """
        text = self.footer.get(ClassMap.FOOTER_KEY)
        try:
            return ClassMap.from_json(text) if text is not None else None
        except ValueError as error:
            path = snapshot_path(self.snapshot.number)
            where = self.storage.locate(path)
            raise BrokenDatasetError(f"{where} holds a class map that is none: {error}; {MEND}", path) from None

    @property
    def run(self) -> RunRecord:
        """The record of the runs that wrote it, as ``run.json`` has it; empty where an older version's is missing."""
        return closed_state(self.snapshot, None) if self.snapshot.runs else load_run(self.storage) or {}

    def files(self) -> list[str]:
        """Paths or URIs of the Parquet files, for any other tool."""
        return [self.storage.locate(entry.path) for entry in self.snapshot.files]

    def scan(self) -> pl.LazyFrame:
        """A lazy polars frame over all rows; columns that a query does not name are not read.

        The files are read by `open_shard` and never by polars, so that what is wrong with one is a `UserError` that
        names it, wherever the frame is collected.

        Example:
            >>> import polars as pl
            >>> from manifests import open_dataset
            >>> rows = open_dataset("runs/market").scan()
            >>> rows.filter(pl.col("identity") == "0002").select("camera").collect().to_series().to_list()
            [1, 2, 3]
        """
        return register_io_source(self._frames, schema=_empty(self.kind).schema, is_pure=True)

    def read(self, columns: Sequence[str] | None = None, filter: pc.Expression | None = None) -> pa.Table:
        """Rows in memory: only ``columns`` (all by default), only where ``filter`` holds.

        Example:
            >>> import pyarrow.compute as pc
            >>> from manifests import open_dataset
            >>> rows = open_dataset("runs/market").read(["identity", "camera"], pc.field("camera") == 1)
            >>> rows.to_pylist()
            [{'identity': '0002', 'camera': 1}, {'identity': '0007', 'camera': 1}]
        """
        schema = SCHEMAS[self.kind]
        empty = schema.empty_table().select(list(columns) if columns is not None else schema.names)
        parts: list[pa.Table] = []
        metadata = empty.schema.metadata
        for table in self.shards(columns):
            metadata = metadata if parts else table.schema.metadata
            # Each file's names its classes: of many small files that would be most of the memory.
            parts.append((table if filter is None else table.filter(filter)).replace_schema_metadata(None))
        whole = pa.concat_tables(parts or [empty])
        return whole.replace_schema_metadata(metadata)

    def where(self, condition: str) -> Selection:
        """The rows for which the SQL expression ``condition`` holds, as `manifests.rows_where` takes it.

        Raises:
            UserError: the expression makes no sense.

        Example:
            >>> from manifests import open_dataset
            >>> first = open_dataset("runs/market").where("camera = 1")
            >>> len(first), first.read(["identity"]).to_pylist()
            (2, [{'identity': '0002'}, {'identity': '0007'}])
        """
        return self._all_rows().where(condition)

    def to_torch(self, transform: Callable[[Any], Any] | None = None, **options: Any) -> ReIDDataset:
        """The rows for a ``DataLoader``; arguments and faults are those of `Selection.to_torch`."""
        return self._all_rows().to_torch(transform, **options)

    def __repr__(self) -> str:
        files = f"{len(self.snapshot.files)} file{'s' if len(self.snapshot.files) != 1 else ''}"
        return f"<Dataset {self.uri}: {self.snapshot.rows} {self.kind} rows in {files}>"

    def _repr_html_(self) -> str:
        return self._all_rows()._repr_html_()

    def _all_rows(self) -> Selection:
        from manifests.reading.selection import Selection

        return Selection.all_of(self)

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

    def read_file(self, entry: FileEntry, columns: Sequence[str] | None = None) -> pa.Table:
        """The same of one file of the snapshot, rejects included."""
        return completed(self.read_as_written(entry, columns), columns)

    def read_as_written(self, entry: FileEntry, columns: Sequence[str] | None = None) -> pa.Table:
        """The same in the schema of the version that wrote it: without columns that it did not know.

        Whoever reads all columns gets the bytes that the snapshot names, and no others.
        """
        with self.open(entry) as shard:
            if columns is None:
                shard.check_bytes()
            return shard.read(columns)

    def open(self, entry: FileEntry) -> AbstractContextManager[Shard]:
        """One file of the snapshot, rejects included, to be read by row groups; raises as `open_shard` does."""
        return open_shard(self.storage, entry, self.kind)

    def check_bytes(self) -> None:
        """Read every file of the snapshot once.

        Raises:
            UserError: one is missing or is not the file that the snapshot names.
        """
        for entry in (*self.snapshot.files, *self.snapshot.rejects):
            with self.open(entry) as shard:
                shard.check_bytes()

    def check_present(self) -> None:
        """Look at the listing alone.

        Raises:
            BrokenDatasetError: a file of rows is missing or of another size than the snapshot says.
        """
        folders = {entry.path.rpartition("/")[0] for entry in self.snapshot.files}
        sizes = {found.path: found.size for folder in folders for found in self.storage.list(folder)}
        for entry in self.snapshot.files:
            if sizes.get(entry.path) != entry.bytes:
                where, size = self.storage.locate(entry.path), sizes.get(entry.path)
                wrong = "is missing" if size is None else f"is {size} bytes, the snapshot says {entry.bytes}"
                raise BrokenDatasetError(f"{where} {wrong}; {MEND}", entry.path)

    def _frames(
        self, columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, batch: int | None
    ) -> Iterator[pl.DataFrame]:
        """What polars asks of a source: ``columns`` of the rows for which ``predicate`` holds, the first ``rows``."""
        yield _empty(self.kind).select(columns or pl.all())
        for table in self._tables(columns, predicate):
            frame = frame_of(table)
            frame = frame if predicate is None else frame.filter(predicate)
            frame = frame if rows is None else frame.head(rows)
            yield frame
            rows = None if rows is None else rows - frame.height
            if rows == 0:
                return

    def _tables(self, columns: list[str] | None, predicate: pl.Expr | None) -> Iterator[pa.Table]:
        """The files; of pictures only the row groups in which some row is asked for."""
        if predicate is None or not {"image", "mask"} & set(columns or SCHEMAS[self.kind].names):
            yield from self.shards(columns)
            return
        for entry in self.snapshot.files:
            with self.open(entry) as shard:
                for group in range(len(shard.group_rows)):
                    asked = frame_of(shard.read_group(group, predicate.meta.root_names()))
                    if asked.filter(predicate).height:
                        yield shard.read_group(group, columns)


def open_dataset(uri: str) -> Dataset:
    """The data set at a path or URI in its newest closed state.

    Raises:
        UserError: there is none, or its first run has not been closed, or a newer version wrote it.

    Example:
        >>> from manifests import open_dataset
        >>> market = open_dataset("runs/market")
        >>> market.kind, market.snapshot.rows
        ('source', 6)
    """
    storage = open_storage(uri)
    snapshot = Snapshot.newest(storage)
    if snapshot is not None:
        return Dataset(storage.uri, snapshot, storage)
    run = load_run(storage)
    if run is None:
        raise UserError(f"no data set at {storage.uri}: it has no {RUN} and no snapshot")
    status = run.get("status", "unknown")
    because = f" ({run['reason']})" if run.get("reason") else ""
    raise UserError(
        f"the data set at {storage.uri} is not finished: its run is {status}{because}; "
        "run the same command again to complete it"
    )


def _empty(kind: Kind) -> pl.DataFrame:
    return frame_of(SCHEMAS[kind].empty_table())
