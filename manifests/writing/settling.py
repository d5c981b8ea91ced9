"""After a snapshot: everything beside it is made to agree with it.

Nothing here decides anything, all follows from the newest snapshot. So it may be done again after a kill, by anybody,
and twice at once. ``run.json`` is written last: as long as it does not say what the snapshot says, there is work left.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from manifests.describing.card import write_inspection_files
from manifests.disk.claims import Claim, next_number
from manifests.disk.commits import attempts
from manifests.disk.run_form import RunRecord, recorded_plan
from manifests.disk.run_record import closed_state, load_run
from manifests.disk.shards import sweep
from manifests.disk.snapshots import (
    RUN,
    SNAPSHOTS,
    BrokenDatasetError,
    CommitRecord,
    FileEntry,
    Snapshot,
    commit_path,
    dump,
    snapshot_path,
)
from manifests.errors import UserError
from manifests.reading.dataset import Dataset
from manifests.storage.whole_files import TEMPORARY, Storage


def settle(storage: Storage, snapshot: Snapshot) -> Snapshot:
    """Make the log, the folders, the card, the metadata and ``run.json`` agree with ``snapshot``, or with the one that
    is the newest by then, which is returned.

    Raises:
        UserError: a file of the snapshot is missing or cannot be read, or the storage refuses.
    """
    while True:
        try:
            _settle(storage, snapshot)
        except UserError:
            if _newest(storage, snapshot) == snapshot:
                raise
        newest = _newest(storage, snapshot)
        if newest == snapshot:
            return snapshot
        snapshot = newest


def mend(storage: Storage, snapshot: Snapshot) -> Snapshot:
    """`settle` where something was left undone; the newest snapshot. Reads one file where nothing is."""
    return snapshot if settled(storage, snapshot) else settle(storage, snapshot)


def settled(storage: Storage, snapshot: Snapshot) -> bool:
    """Whether ``run.json`` says what ``snapshot``, the newest, says; what was begun since has its own to say."""
    state = _state(storage)
    claim = Claim.load(storage, next_number(snapshot))
    if claim is not None:
        return True
    plan = recorded_plan(state)
    if plan is not None and plan not in snapshot.plan_ids:
        return True
    if not snapshot.runs:
        return state is not None and state.get("status") == "complete"
    return state is not None and dump(state) == dump(closed_state(snapshot, state))


def _settle(storage: Storage, snapshot: Snapshot) -> None:
    dataset = Dataset(storage.uri, snapshot, storage)
    _purge(storage, snapshot)
    sweep(storage, snapshot)
    for entry in _changed(storage, snapshot):
        _adapt_record(dataset, entry)
    write_inspection_files(dataset)
    _write_state(storage, snapshot)


def _newest(storage: Storage, snapshot: Snapshot) -> Snapshot:
    """The newest snapshot, read anew only where it is not this one."""
    later = Snapshot.numbers(storage)[-1:]
    return snapshot if later == [snapshot.number] else Snapshot.newest(storage) or snapshot


def _purge(storage: Storage, snapshot: Snapshot) -> None:
    """No state from before an erasure stays, nor a file that such a state alone names, nor a writer's unfinished one
    that tells of it."""
    erased = max((entry.snapshot for entry in snapshot.erasures), default=0)
    for entry in storage.list() if erased == snapshot.number else ():
        folder, _, name = entry.path.rpartition("/")
        if folder in ("", SNAPSHOTS) and TEMPORARY.fullmatch(name):
            storage.delete(entry.path)
    for number in Snapshot.numbers(storage):
        if number >= erased:
            return
        with contextlib.suppress(BrokenDatasetError):  # another who settles was faster
            for path in Snapshot.load(storage, number).named.keys() - snapshot.named.keys():
                storage.delete(path)
        storage.delete(snapshot_path(number))


def _changed(storage: Storage, snapshot: Snapshot) -> Iterator[FileEntry]:
    """The shards whose commit record may name other files than the snapshot does."""
    erased = any(entry.snapshot == snapshot.number for entry in snapshot.erasures)
    again = {} if erased else attempts(storage)
    return (entry for entry in snapshot.files if erased or again.get(entry.shard))


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


def _write_state(storage: Storage, snapshot: Snapshot) -> None:
    """Make ``run.json`` say what the snapshot says; a run that was begun since keeps what it says of itself."""
    state = _state(storage)
    plan = recorded_plan(state)
    if state is not None and plan is not None and plan not in snapshot.plan_ids:
        storage.write(RUN, dump({**state, "earlier_runs": list(snapshot.runs)}))
    else:
        storage.write(RUN, dump(closed_state(snapshot, state)))


def _state(storage: Storage) -> RunRecord | None:
    """What ``run.json`` holds, None where it is not there or is no record of a run: then it is written anew.

    Raises:
        UserError: a newer version wrote it.
    """
    try:
        return load_run(storage)
    except BrokenDatasetError:
        return None
