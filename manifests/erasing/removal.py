"""Taking rows out of a closed data set so that none of their bytes stays.

Order of the steps: the next snapshot is claimed for an erasure, so that no run begins meanwhile; the shards that held
the rows are written anew under new names; a new snapshot names those, and says of the runs what may still be said. That
is the moment of change: before it a reader sees the old state, after it the new one. `manifests.writing.settling` then
deletes the old shards and snapshots and makes all else agree with the new snapshot. A kill before the change leaves the
old state, a kill after it leaves work that can be done again from the snapshot alone. Shards that lose nothing are not
written, read at most. What lies below the storage is not reached: a bucket that keeps versions, or a backup, still has
the old files until they are deleted there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.disk.claims import Claim, erasure_interrupted, next_number, unfinished_plan
from manifests.disk.parquet import footer_of
from manifests.disk.run_form import RunRecord, checked_run, recorded_plan
from manifests.disk.run_record import closed_runs, closed_state, load_run, now
from manifests.disk.shards import put_table
from manifests.disk.snapshots import ERASING, RUN, Erasure, FileEntry, Snapshot, dump, snapshot_path
from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset
from manifests.writing.settling import mend, settle

ERASED = "(erased)"
"""What the run record says where it named somebody."""
_KEY = ClassMap.FOOTER_KEY
_FORMAL = frozenset({"schema_version", "kind", "status", "started", "closed", "plan", "counts"})
"""What a run's record says that is no word of its job, and names nobody."""


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
    state = load_run(dataset.storage)
    if state is None and not dataset.snapshot.runs:
        raise UserError(f"{dataset.uri} has no {RUN}: nothing says whether a run of it is unfinished")
    plan = unfinished_plan(dataset.storage, dataset.snapshot, state)
    if plan is not None:
        status = (state or {}).get("status") if recorded_plan(state) == plan else "begun"
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
    storage, before = dataset.storage, dataset.snapshot
    holder = Claim(next_number(before)).take(storage)
    if holder.plan_id is not None:
        raise UserError(f"a run of {dataset.uri} began a moment ago: run the same command again when it is finished")
    storage.write(RUN, dump({**closed_state(before, load_run(storage)), "status": ERASING}))
    snapshot = _written_anew(dataset, removal, keys)
    if storage.create(snapshot_path(snapshot.number), snapshot.to_json()):
        return settle(storage, snapshot)
    newest = Snapshot.newest(storage) or before
    for path in snapshot.named.keys() - before.named.keys() - newest.named.keys():
        storage.delete(path)
    mend(storage, newest)
    raise UserError(f"another command changed {dataset.uri} at the same moment: run the same command again")


def release(dataset: Dataset) -> None:
    """End an erasure that was interrupted before its snapshot and has nothing to take out any more: the snapshot that
    it claimed is made with everything as it is.

    Raises:
        UserError: the storage refuses.
    """
    storage, before = dataset.storage, dataset.snapshot
    if not erasure_interrupted(storage, before, load_run(storage)):
        return
    snapshot = replace(before, number=next_number(before), created=now())
    storage.create(snapshot_path(snapshot.number), snapshot.to_json())
    settle(storage, snapshot)


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
            kept = table.filter(pa.array(~gone))
            rejects[entry.path] = put_table(dataset.storage, "rejects", entry.shard, kept, {}, next_number(before))
    rows, rejected = removal.counts
    number, time = next_number(before), now()
    runs = closed_runs(before, load_run(dataset.storage))
    return replace(
        before,
        number=number,
        created=time,
        files=tuple(files.values()),
        rejects=tuple(rejects.values()),
        reasons=dict(sorted((Counter(before.reasons) - lost).items())),
        footer=_retired(before.footer, removal.classes),
        erasures=(*before.erasures, Erasure(time, number, tuple(sorted(keys)), rows, rejected)),
        runs=tuple(_cleaned_run(run, removal) for run in runs),
    )


def _rewrite(dataset: Dataset, entry: FileEntry, gone: NDArray[np.bool_], classes: frozenset[str]) -> FileEntry:
    """The shard without the rows that go: same order, same schema, same metadata but for the retired names."""
    table = dataset.read_as_written(entry).filter(pa.array(~gone))
    footer = _retired(footer_of(table.schema), classes)
    return put_table(dataset.storage, "data", entry.shard, table, footer, next_number(dataset.snapshot))


def _own_classes(dataset: Dataset, entry: FileEntry) -> set[str]:
    """The names in a shard's own footer."""
    with dataset.open(entry) as shard:
        text = shard.footer.get(_KEY)
    return set(ClassMap.from_json(text).named) if text is not None else set()


def _retired(footer: dict[str, str], classes: frozenset[str]) -> dict[str, str]:
    if not classes or _KEY not in footer:
        return footer
    return {**footer, _KEY: ClassMap.from_json(footer[_KEY]).without(classes).to_json()}


def _cleaned_run(run: RunRecord, removal: Removal) -> RunRecord:
    """A run's record without the words that go; what the form asks for stays, whatever a person is called."""
    kept = {key: value for key, value in run.items() if key in _FORMAL}
    if "resumed" in run:
        kept["resumed"] = [{**one, "changed": _cleaned(one["changed"], removal)} for one in run["resumed"]]
    return checked_run({**_cleaned(run, removal), **kept})


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
