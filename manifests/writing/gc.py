"""Clearing out what a data set no longer needs: what killed writers left, and snapshots long superseded.

Kept are the files that any snapshot names and all that commit records name, so a run that was interrupted goes on as
before. A worker that is alive may have written a file whose record is not there yet: nothing younger than the grace
age goes. The record follows its file within seconds, so a day is room enough for a machine that slept and for clocks
that disagree; lakes that keep files for days (Delta Lake seven, Iceberg three) do so for readers of old snapshots,
whose files are kept here whatever their age.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from manifests.disk.claims import claim_path, refuse_interrupted_erasure
from manifests.disk.commits import COMMIT_NAME
from manifests.disk.run_record import load_run
from manifests.disk.shard_reading import open_shard
from manifests.disk.shards import FILE_FOLDERS, SHARD_NAME
from manifests.disk.snapshots import MEND, RUN, BrokenDatasetError, CommitRecord, FileEntry, Snapshot, snapshot_path
from manifests.errors import UserError
from manifests.format.schema import Kind
from manifests.storage.whole_files import TEMPORARY, Entry, Storage, open_storage

KEPT_SNAPSHOTS = 5
GRACE_HOURS = 24.0


@dataclass(frozen=True)
class Garbage:
    """A file that nothing needs, and why."""

    path: str
    bytes: int
    why: str


def collect_garbage(uri: str, *, older_than_hours: float = GRACE_HOURS, dry_run: bool = False) -> list[Garbage]:
    """Delete what nothing at ``uri`` needs and what was written more than ``older_than_hours`` ago; says what it was.

    Raises:
        UserError: there is no data set, an erasure of it was interrupted, or a file that stays is missing or damaged.

    Example:
        >>> from manifests import collect_garbage
        >>> garbage = collect_garbage("runs/market", dry_run=True)
        >>> sum(one.bytes for one in garbage)
        0
    """
    storage = open_storage(uri)
    state = load_run(storage)
    if state is None:
        raise UserError(f"no data set at {storage.uri}: it has no {RUN}")
    if "kind" not in state:
        raise BrokenDatasetError(f"{storage.locate(RUN)} does not say what kind of rows it is about; {MEND}", RUN)
    entries = storage.list()
    # After the listing: an erasure makes its claim before it writes what no snapshot names yet.
    refuse_interrupted_erasure(storage, Snapshot.newest(storage))
    before = time.time() - older_than_hours * 3600
    numbers = Snapshot.numbers(storage)
    needed = {file.path: file for file in _needed(storage, entries, numbers[-KEPT_SNAPSHOTS:])}
    found = [one for one in _garbage(entries, numbers, needed) if one[0].modified <= before]
    if found:
        _check_whole(storage, state["kind"], needed.values())
    for entry, _ in found if not dry_run else ():
        storage.delete(entry.path)
    return [Garbage(entry.path, entry.size, why) for entry, why in found]


def _check_whole(storage: Storage, kind: Kind, needed: Iterable[FileEntry]) -> None:
    """What is to go may be all that is left of a damaged file."""
    for entry in needed:
        with open_shard(storage, entry, kind) as shard:
            shard.check_bytes()


def _garbage(entries: list[Entry], numbers: list[int], needed: Collection[str]) -> Iterator[tuple[Entry, str]]:
    superseded = {path(number) for number in numbers[:-KEPT_SNAPSHOTS] for path in (snapshot_path, claim_path)}
    for entry in entries:
        folder, _, name = entry.path.rpartition("/")
        if TEMPORARY.fullmatch(name):
            yield entry, "never finished by its writer"
        elif folder in FILE_FOLDERS and SHARD_NAME.fullmatch(name) and entry.path not in needed:
            yield entry, "named by no snapshot and no commit record"
        elif entry.path in superseded:
            yield entry, f"older than the newest {KEPT_SNAPSHOTS} snapshots"


def _needed(storage: Storage, entries: list[Entry], numbers: list[int]) -> Iterator[FileEntry]:
    """The files of these snapshots and of every commit record, those of an unfinished run included."""
    for number in numbers:
        snapshot = Snapshot.load(storage, number)
        yield from (*snapshot.files, *snapshot.rejects)
    for entry in entries:
        record = CommitRecord.load(storage, entry.path) if COMMIT_NAME.fullmatch(entry.path) else None
        if record is not None:
            yield from record.files
