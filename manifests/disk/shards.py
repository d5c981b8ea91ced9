"""The files of shards: named after their bytes, deleted where no snapshot can name them any more."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import pyarrow as pa

from manifests.disk import parquet, tables
from manifests.disk.claims import Claim
from manifests.disk.snapshots import COMMITS, FileEntry, Snapshot
from manifests.storage.whole_files import TEMPORARY, Storage

_SUFFIXES = {"data": ".parquet", "rejects": tables.SUFFIX}
FILE_FOLDERS = tuple(_SUFFIXES)
SHARD_NAME = re.compile(r"[0-9]{6,}-[0-9a-f]{16}\.(parquet|table)")
_NUMBER = re.compile(r"\.?([0-9]{6,})[-.]")


def sweep(storage: Storage, snapshot: Snapshot) -> None:
    """Delete at once the files that can belong to no snapshot ever: those of shards that ``snapshot``, the newest, has
    under another name.

    Whoever lost a race for such a shard has lost it for good; only an erasure may be about to name such files. It
    claims the next snapshot before it writes any, so the claim is looked for *after* the listing. Files of all other
    shards belong to a run that may be alive: only `manifests.writing.gc` takes those, past a grace age.
    """
    kept, closed = snapshot.named, {entry.shard for entry in snapshot.files}
    lost = [
        entry.path
        for folder in (*FILE_FOLDERS, COMMITS)
        for entry in storage.list(folder)
        if entry.path not in kept and shard_of(entry.path) in closed
    ]
    if not lost or Snapshot.numbers(storage)[-1:] != [snapshot.number]:
        return
    claim = Claim.load(storage, snapshot.number + 1)
    if claim is None or claim.plan_id is not None:
        for path in lost:
            storage.delete(path)


def whole_shards(storage: Storage) -> set[int]:
    """The numbers of which a finished file of rows is there."""
    paths = (entry.path.rpartition("/")[2] for entry in storage.list("data"))
    return {int(name.partition("-")[0]) for name in paths if SHARD_NAME.fullmatch(name)}


def shard_of(path: str) -> int | None:
    """The number of the shard whose file, or what is not finished of its file or record, lies at ``path``; None for
    every other file."""
    name = path.rpartition("/")[2]
    number = _NUMBER.match(name) if SHARD_NAME.fullmatch(name) or TEMPORARY.fullmatch(name) else None
    return int(number[1]) if number else None


def encode_table(
    folder: str, shard: int, table: pa.Table, footer: Mapping[str, str], erasure: int | None = None
) -> tuple[FileEntry, memoryview]:
    """One shard's file: its entry, under the name that its bytes give it, and the bytes.

    The number of the snapshot that an ``erasure`` makes goes into the names of its files: a name that one erasure
    gave up is never given again.
    """
    data = memoryview(parquet.encode(table, footer))
    digest = hashlib.sha256(data).hexdigest()
    name = digest if erasure is None else hashlib.sha256(f"{digest} {erasure}".encode()).hexdigest()
    path = f"{folder}/{shard:06d}-{name[:16]}{_SUFFIXES[folder]}"
    return FileEntry(path, data.nbytes, digest, table.num_rows, shard), data


def put_table(
    storage: Storage,
    folder: str,
    shard: int,
    table: pa.Table,
    footer: Mapping[str, str],
    erasure: int | None = None,
) -> FileEntry:
    """Write one shard's file; see `encode_table`."""
    entry, data = encode_table(folder, shard, table, footer, erasure)
    storage.write(entry.path, data)
    return entry
