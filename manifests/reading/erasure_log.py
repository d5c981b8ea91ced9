"""The record of erasures: that it was done, when, how much; never whom it was about.

Each erasure has a random *receipt* that is shown once to whoever asked for it and kept nowhere. A subject's key is
a keyed hash of their name under that receipt. A hash with a salt that lies beside it would not do: identities are
short numbers, and whoever finds the log could hash all of them. Without the receipt every guess is as good as any
other; with the receipt and the name, `erasure_key` gives the key again and proves which entry is theirs.
"""

from __future__ import annotations

import hashlib
import secrets

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from manifests.common.strict_json import validated
from manifests.disk import parquet, tables
from manifests.disk.shard_reading import UNREADABLE
from manifests.disk.snapshots import MEND, BrokenDatasetError, Erasure
from manifests.errors import one_line
from manifests.reading.dataset import Dataset
from manifests.storage.whole_files import Storage

ERASURES = f"erasures{tables.SUFFIX}"
_ERASURE = TypeAdapter(Erasure)
_SCHEMA = pa.schema(
    [
        ("time", pa.string()),
        ("snapshot", pa.int32()),
        ("dataset", pa.string()),
        ("keys", pa.list_(pa.string())),
        ("rows", pa.int64()),
        ("rejects", pa.int64()),
    ]
)


def new_receipt() -> str:
    """128 random bits, hex."""
    return secrets.token_hex(16)


def erasure_key(receipt: str, subject: str) -> str:
    """BLAKE2b-128, hex, of an identity or image id as it was given, keyed with the ``receipt`` of its erasure."""
    return hashlib.blake2b(subject.encode(), key=bytes.fromhex(receipt), digest_size=16).hexdigest()


def write_log(dataset: Dataset) -> None:
    """Write ``erasures.table``: the erasures that the snapshot lists, a row each."""
    rows = [
        {
            "time": entry.time,
            "snapshot": entry.snapshot,
            "dataset": dataset.uri,
            "keys": list(entry.keys),
            "rows": entry.rows,
            "rejects": entry.rejects,
        }
        for entry in dataset.snapshot.erasures
    ]
    dataset.storage.write(ERASURES, memoryview(parquet.encode(pa.Table.from_pylist(rows, schema=_SCHEMA))))
    dataset.storage.delete(tables.earlier_path(ERASURES))


def read_log(storage: Storage) -> tuple[Erasure, ...]:
    """What ``erasures.table`` lists; nothing where there is no such file, under its earlier name either.

    Raises:
        BrokenDatasetError: the file is no such list.
    """
    names = (ERASURES, tables.earlier_path(ERASURES))
    path, data = next(((path, data) for path in names if (data := storage.read(path)) is not None), (ERASURES, None))
    if data is None:
        return ()
    try:
        rows = pq.read_table(pa.BufferReader(data), columns=_SCHEMA.names).to_pylist()
        # Which data set it is about is for people: a copy may lie elsewhere.
        return tuple(validated(_ERASURE, {key: row[key] for key in _SCHEMA.names if key != "dataset"}) for row in rows)
    except UNREADABLE as error:
        raise BrokenDatasetError(
            f"{storage.locate(path)} is no list of erasures: {one_line(error)}; {MEND}", path
        ) from None
