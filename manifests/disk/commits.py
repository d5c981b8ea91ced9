"""Which record of a shard counts: the first whose files are there.

A record is created exclusively and never replaced while its run goes on. Where a file that it names is gone, the shard
is made again; if the bytes are the same the file is simply back, and if not (another machine made them) a record of the
next attempt, as exclusive as the first, takes the place of the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from manifests.disk.snapshots import COMMITS, CommitRecord, FileEntry, commit_path
from manifests.storage.whole_files import Storage

COMMIT_NAME = re.compile(rf"{COMMITS}/([0-9]+)(?:\.([0-9]+))?\.json")


def absent(storage: Storage, entries: Iterable[FileEntry]) -> list[FileEntry]:
    """Those files of shards that are not there in full length."""
    wanted = list(entries)
    folders = {entry.path.partition("/")[0] for entry in wanted}
    there = {found.path: found.size for folder in sorted(folders) for found in storage.list(folder)}
    return [entry for entry in wanted if there.get(entry.path) != entry.bytes]


def is_whole(storage: Storage, entry: FileEntry) -> bool:
    """Whether one file of a shard is there in full length; for many ask `absent`, which lists the folder."""
    found = storage.stat(entry.path)
    return found is not None and found.size == entry.bytes


def attempts(storage: Storage) -> dict[int, int]:
    """The last attempt recorded of every shard that has a record."""
    found: dict[int, int] = {}
    for entry in storage.list(COMMITS):
        if match := COMMIT_NAME.fullmatch(entry.path):
            shard = int(match[1])
            found[shard] = max(found.get(shard, 0), int(match[2] or 0))
    return found


def committed(storage: Storage, shard: int) -> tuple[CommitRecord | None, int]:
    """The record of ``shard`` whose files are there, or None, and the number of its attempt or of the next one."""
    attempt = 0
    while (record := CommitRecord.load(storage, commit_path(shard, attempt))) is not None:
        if all(is_whole(storage, entry) for entry in record.files):
            return record, attempt
        attempt += 1
    return None, attempt
