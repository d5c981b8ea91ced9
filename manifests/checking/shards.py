"""What must hold of each file of rows: its bytes are the snapshot's, its columns and metadata those of the data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.checking.faults import Report
from manifests.common.json_text import json_text
from manifests.disk.shard_reading import UNREADABLE
from manifests.disk.snapshots import FileEntry
from manifests.errors import UserError, one_line
from manifests.format.schema import KIND_KEY, REJECT_SCHEMA, VERSION_KEY, as_written, check_version
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset

_BATCH_ROWS = 1000


class ShardChecks:
    """The files of one data set against what all of them must say, which is made ready once: there may be 100,000."""

    def __init__(self, dataset: Dataset, classes: ClassMap | None, report: Report) -> None:
        """``classes`` are the data set's, None where it numbers none."""
        self._storage, self._classes, self._report = dataset.storage, classes, report
        self._footer = {key.encode(): value.encode() for key, value in dataset.footer.items()}

    def batches(self, entry: FileEntry, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows of one file in batches, after its bytes, schema, metadata and row count were checked."""
        report = self._report
        report.files += 1
        data = self._storage.read(entry.path)
        if data is None:
            report.add("missing", entry.path, "the snapshot names it and it is not there")
            return
        if len(data) != entry.bytes:
            report.add("digest", entry.path, f"{len(data)} bytes, the snapshot says {entry.bytes}")
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            report.add("digest", entry.path, "its SHA-256 is not the snapshot's: the bytes have changed")
        try:
            parquet = pq.ParquetFile(pa.BufferReader(data))
            if not self._schema_holds(parquet.schema_arrow, schema, entry):
                return
            rows = parquet.metadata.num_rows
            if rows != entry.rows:
                report.add("rows", entry.path, f"{rows} rows, the snapshot says {entry.rows}")
            if schema is not REJECT_SCHEMA:
                report.rows += rows
            # Handing each column to a thread costs a small file more than reading it, and a large one hardly gains.
            for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                batch.validate(full=True)
                yield batch
        except UNREADABLE as error:
            report.add("unreadable", entry.path, one_line(error))

    def _schema_holds(self, found: pa.Schema, schema: pa.Schema, entry: FileEntry) -> bool:
        """Whether a file of the schema ``found`` has the columns of ``schema``, so that its rows can be looked at."""
        metadata = found.metadata or {}
        version = metadata.get(VERSION_KEY, b"").decode(errors="replace")
        try:
            check_version(version, entry.path)
        except UserError as error:
            self._report.add("schema", entry.path, str(error))
            return False
        has_footer = schema is not REJECT_SCHEMA
        schema = as_written(schema, version)
        self._check_metadata(metadata, {**(schema.metadata or {}), **(self._footer if has_footer else {})}, entry)
        if found.equals(schema):
            return True
        theirs, ours = ({f"{field.name}: {field.type}" for field in one} for one in (found, schema))
        difference = json_text({"missing": sorted(ours - theirs), "unknown": sorted(theirs - ours)})
        self._report.add("schema", entry.path, f"columns differ from schema {version}: {difference}")
        return False

    def _check_metadata(self, found: dict[bytes, bytes], expected: dict[bytes, bytes], entry: FileEntry) -> None:
        for key in sorted(expected.keys() - {VERSION_KEY}):
            if key == ClassMap.FOOTER_KEY.encode() and self._names_its_classes(found.get(key)):
                continue
            if found.get(key) != expected[key]:
                say = "kind" if key == KIND_KEY else f"metadata {key.decode()!r}"
                self._report.add("schema", entry.path, f"its {say} is not the one the data set has")

    def _names_its_classes(self, found: bytes | None) -> bool:
        """Whether a shard's class map is part of the data set's: it names the people on the shard, or all."""
        if found is None or self._classes is None:
            return False
        try:
            return ClassMap.from_json(found.decode()).agrees_with(self._classes)
        except ValueError:
            return False
