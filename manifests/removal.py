"""Taking rows out of a closed data set so that none of their bytes stays.

Order of the steps: the run record loses what it says of them and is marked `ERASING`; the shards that held them are
written anew under new names; a new snapshot names those. That is the moment of change: before it a reader sees the
old state, after it the new one. Then `finish` deletes the old shards and snapshots and makes all else agree with the
new snapshot. A kill before the change leaves the old state, a kill after it leaves work that `finish` can do again
from the snapshot alone. Shards that lose nothing are not written, read at most. What lies below the storage is not
reached: a bucket that keeps versions, or a backup, still has the old files until they are deleted there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.card import write_inspection_files
from manifests.dataset import Dataset
from manifests.erasures import write_log
from manifests.errors import UserError
from manifests.log import (
    ERASING,
    RUN,
    CommitRecord,
    Erasure,
    FileEntry,
    Snapshot,
    commit_path,
    dump,
    snapshot_path,
)
from manifests.parquet import footer_of
from manifests.run_form import load_run
from manifests.run_record import RunPlan, now
from manifests.shards import put_table, sweep
from manifests.soft_labels import ClassMap
from manifests.storage import Storage

ERASED = "(erased)"
"""What the run record says where it named somebody."""
_KEY = ClassMap.FOOTER_KEY


@dataclass(frozen=True)
class Removal:
    """What goes from one data set. Rows and rejected rows by file of the snapshot, True where one goes."""

    rows: tuple[NDArray[np.bool_], ...]
    rejects: tuple[NDArray[np.bool_], ...]
    classes: frozenset[str]
    """Names of classes that retire."""
    words: frozenset[str]
    """What the run record may not say."""

    @property
    def counts(self) -> tuple[int, int]:
        """Rows and rejected rows that go."""
        return sum(int(gone.sum()) for gone in self.rows), sum(int(gone.sum()) for gone in self.rejects)

    def __bool__(self) -> bool:
        return any(self.counts) or bool(self.classes)


def check_closed(dataset: Dataset) -> None:
    """Refuse a data set that a run is writing to, or left unfinished.

    Raises:
        UserError: it is one.
    """
    state = load_run(dataset.storage) or {}
    status, plan = state.get("status"), RunPlan.load(dataset.storage)
    if plan is None or status not in ("complete", ERASING) or plan.plan_id not in dataset.snapshot.plan_ids:
        raise UserError(f"{dataset.uri} has an unfinished run ({status}): finish it first with its own command")


def touched(dataset: Dataset, removal: Removal) -> Iterator[tuple[FileEntry, NDArray[np.bool_]]]:
    """The shards to be written anew: those that lose a row, and those whose footer has a name that retires."""
    for entry, gone in zip(dataset.snapshot.files, removal.rows, strict=True):
        if gone.any() or (removal.classes and not removal.classes.isdisjoint(_own_classes(dataset, entry))):
            yield entry, gone


def remove(dataset: Dataset, removal: Removal, keys: Sequence[str]) -> Snapshot:
    """Take ``removal`` out of ``dataset``; ``keys`` go into the log of erasures.

    Raises:
        UserError: another run changed the data set meanwhile, or the storage refuses.
    """
    storage = dataset.storage
    state = load_run(storage) or {}
    storage.write(RUN, dump({**_cleaned(state, removal), "status": ERASING}))
    snapshot = _written_anew(dataset, removal, keys)
    if not storage.create(snapshot_path(snapshot.number), snapshot.to_json()):
        raise UserError(f"another run closed {dataset.uri} at the same moment: run the same command again")
    return finish(dataset.uri, storage)


def finish(uri: str, storage: Storage) -> Snapshot:
    """Make everything agree with the newest snapshot, and nothing else be there; harmless to repeat."""
    snapshot = Snapshot.newest(storage)
    assert snapshot is not None
    sweep(storage, snapshot)
    dataset = Dataset(uri, snapshot, storage)
    for entry in snapshot.files:
        _adapt_record(dataset, entry)
    for number in Snapshot.numbers(storage):
        if number < snapshot.number:
            storage.delete(snapshot_path(number))
    write_inspection_files(dataset)
    if snapshot.erasures:
        write_log(dataset)
    state = load_run(storage) or {}
    storage.write(RUN, dump({**state, "status": "complete", "counts": snapshot.counts}))
    return snapshot


def _written_anew(dataset: Dataset, removal: Removal, keys: Sequence[str]) -> Snapshot:
    """The next snapshot, its new files written."""
    before = dataset.snapshot
    files = {entry.path: entry for entry in before.files}
    for entry, gone in touched(dataset, removal):
        files[entry.path] = _rewrite(dataset, entry, gone, removal.classes)
    rejects, lost = {entry.path: entry for entry in before.rejects}, Counter[str]()
    for entry, gone in zip(before.rejects, removal.rejects, strict=True):
        if gone.any():
            table = dataset.read_file(entry)
            lost.update(table.filter(pa.array(gone)).column("reason").to_pylist())
            rejects[entry.path] = put_table(dataset.storage, "rejects", entry.shard, table.filter(pa.array(~gone)), {})
    rows, rejected = removal.counts
    number, time = before.number + 1, now()
    return replace(
        before,
        number=number,
        created=time,
        files=tuple(files.values()),
        rejects=tuple(rejects.values()),
        reasons=dict(sorted((Counter(before.reasons) - lost).items())),
        footer=_retired(before.footer, removal.classes),
        erasures=(*before.erasures, Erasure(time, number, tuple(sorted(keys)), rows, rejected)),
    )


def _rewrite(dataset: Dataset, entry: FileEntry, gone: NDArray[np.bool_], classes: frozenset[str]) -> FileEntry:
    """The shard without the rows that go: same order, same schema, same metadata but for the retired names."""
    table = dataset.read_as_written(entry).filter(pa.array(~gone))
    footer = _retired(footer_of(table.schema), classes)
    return put_table(dataset.storage, "data", entry.shard, table, footer)


def _own_classes(dataset: Dataset, entry: FileEntry) -> set[str]:
    """The names in a shard's own footer."""
    with dataset.open(entry) as shard:
        text = shard.footer.get(_KEY)
    return set(ClassMap.from_json(text).named) if text is not None else set()


def _retired(footer: dict[str, str], classes: frozenset[str]) -> dict[str, str]:
    if not classes or _KEY not in footer:
        return footer
    return {**footer, _KEY: ClassMap.from_json(footer[_KEY]).without(classes).to_json()}


def _adapt_record(dataset: Dataset, entry: FileEntry) -> None:
    """Make the commit record of a shard name the shard's present files; what it planned stands."""
    record = CommitRecord.load(dataset.storage, commit_path(entry.shard))
    rejects = next((one for one in dataset.snapshot.rejects if one.shard == entry.shard), None)
    if record is None or (record.data, record.rejects) == (entry, rejects):
        return
    reasons = dataset.read_file(rejects).column("reason").to_pylist() if rejects else []
    erased = record.planned - entry.rows - len(reasons)
    changed = replace(record, data=entry, rejects=rejects, reasons=dict(Counter(reasons)), erased=erased)
    dataset.storage.write(changed.path, changed.to_json())


def _cleaned(state: Any, removal: Removal) -> Any:
    """JSON without the words that go, and without the names that retire in class maps that are text within it."""
    if isinstance(state, dict):
        cleaned = {key: _cleaned(value, removal) for key, value in state.items() if key not in removal.words}
        return _retired(cleaned, removal.classes) if isinstance(cleaned.get(_KEY), str) else cleaned
    if isinstance(state, list):
        return [_cleaned(value, removal) for value in state if not _is_in(value, removal.words)]
    return ERASED if _is_in(state, removal.words) else state


def _is_in(value: Any, words: frozenset[str]) -> bool:
    return isinstance(value, str) and value in words
