"""The files of shards: named after their bytes, swept away where no snapshot names them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import pyarrow as pa

from manifests import parquet
from manifests.log import COMMITS, FileEntry, Snapshot
from manifests.storage import TEMPORARY, Storage

_OUR_FOLDERS = ("data", "rejects", COMMITS)
SHARD_NAME = re.compile(r"[0-9]{6,}-[0-9a-f]{16}\.parquet")


def sweep(storage: Storage, snapshot: Snapshot) -> None:
    """Delete what writers left behind: files that lost a race, were never finished, or were replaced."""
    kept = {entry.path for entry in (*snapshot.files, *snapshot.rejects)}
    for folder in _OUR_FOLDERS:
        for entry in storage.list(folder):
            name = entry.path.rpartition("/")[2]
            lost = folder != COMMITS and entry.path not in kept and SHARD_NAME.fullmatch(name)
            if lost or TEMPORARY.fullmatch(name):
                storage.delete(entry.path)


def put_table(storage: Storage, folder: str, shard: int, table: pa.Table, footer: Mapping[str, str]) -> FileEntry:
    """Write one shard's file under the name that its bytes give it."""
    data = memoryview(parquet.encode(table, footer))
    digest = hashlib.sha256(data).hexdigest()
    path = f"{folder}/{shard:06d}-{digest[:16]}.parquet"
    storage.write(path, data)
    return FileEntry(path, data.nbytes, digest, table.num_rows, shard)
