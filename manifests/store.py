"""Writing a data set: each planned row exactly once, whatever is killed meanwhile.

A driver starts a `DatasetRun`, workers commit shards through its picklable `ShardSink`, the driver closes it.
A shard is committed when its record exists; the record is created exclusively after the file is durable. A
snapshot, written last, names the files that belong to the data set; nothing else is ever read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from manifests.card import write_inspection_files
from manifests.dataset import Dataset, open_dataset
from manifests.errors import UserError
from manifests.log import (
    COMMITS,
    ERASING,
    RUN,
    CommitRecord,
    Snapshot,
    commit_path,
    dump,
    snapshot_path,
)
from manifests.run_form import load_run
from manifests.run_record import RunPlan, appended, begun, check_begun_now, check_same, now, resumed
from manifests.schema import REJECT_SCHEMA, SCHEMA_VERSION, SCHEMAS, Kind, conform
from manifests.shards import put_table, sweep
from manifests.soft_labels import ClassMap
from manifests.statements import FOOTERS
from manifests.storage import TEMPORARY, Storage, open_storage

__all__ = ["CommitRecord", "Dataset", "DatasetRun", "ShardSink", "Snapshot", "open_dataset"]


@dataclass(frozen=True)
class ShardSink:
    """Where workers put finished shards; picklable, and the same on every machine."""

    uri: str
    kind: Kind
    plan_id: str
    footer: tuple[tuple[str, str], ...] = ()

    def commit(
        self,
        shard: int,
        rows: pa.Table,
        rejects: pa.Table | None = None,
        stats: Mapping[str, float] | None = None,
        row_plans: Iterable[str] = (),
    ) -> CommitRecord:
        """Make ``shard`` (the plan's number) part of the run, once; later calls return the first record.

        ``row_plans`` are the plans that made the rows, where this one only collects them.

        Raises:
            ValueError: ``rows`` or ``rejects`` do not fit their schema, or together are not what was planned.
            UserError: the run at ``uri`` is another plan's, or the storage refuses.
        """
        storage = open_storage(self.uri)
        plan = RunPlan.load(storage)
        if plan is None or plan.plan_id != self.plan_id:
            raise UserError(f"the run at {self.uri} is no longer that of plan {self.plan_id[:12]}: worker stops")
        number = plan.first_shard + shard
        existing = CommitRecord.load(storage, commit_path(number))
        if existing is not None:
            return existing
        rows = conform(rows, SCHEMAS[self.kind])
        rejects = conform(rejects, REJECT_SCHEMA) if rejects is not None and rejects.num_rows else None
        planned, rejected = plan.shard_rows.get(shard), rejects.num_rows if rejects is not None else 0
        if planned != rows.num_rows + rejected:
            raise ValueError(f"shard {shard}: planned {planned} rows, got {rows.num_rows} and {rejected} rejected")
        try:
            return self._commit(storage, number, rows, rejects, stats or {}, tuple(row_plans))
        except UserError:
            # A rival may have finished the run and swept our unfinished file away in the middle of our write.
            existing = CommitRecord.load(storage, commit_path(number))
            if existing is None:
                raise
            return existing

    def _commit(
        self,
        storage: Storage,
        number: int,
        rows: pa.Table,
        rejects: pa.Table | None,
        stats: Mapping[str, float],
        row_plans: tuple[str, ...],
    ) -> CommitRecord:
        data = put_table(storage, "data", number, rows, _footer_for(rows, self.footer))
        rejected = put_table(storage, "rejects", number, rejects, {}) if rejects is not None else None
        reasons = Counter(map(str, rejects.column("reason").to_pylist()) if rejects is not None else ())
        planned = data.rows + (rejected.rows if rejected else 0)
        record = CommitRecord(
            self.plan_id, number, planned, data, rejected, dict(reasons), dict(stats), row_plans=row_plans
        )
        if storage.create(record.path, record.to_json()):
            return record
        winner = CommitRecord.load(storage, record.path)
        if winner is None:
            raise UserError(f"{storage.locate(record.path)} vanished: something else deletes files there")
        kept = {entry.path for entry in (winner.data, winner.rejects) if entry}
        for entry in (data, rejected):
            if entry and entry.path not in kept:
                storage.delete(entry.path)
        return winner


class DatasetRun:
    """The driver's side of one plan: `start` it, let workers commit to `sink`, `close` it."""

    def __init__(self, storage: Storage, plan: RunPlan, snapshot: Snapshot | None) -> None:
        self._storage = storage
        self._plan = plan
        self._snapshot = snapshot
        self.uri = storage.uri
        self.sink = ShardSink(storage.uri, plan.kind, plan.plan_id, tuple(sorted(plan.footer.items())))
        self.resumed_shards = len(plan.shard_rows) - len(self.pending())

    @classmethod
    def start(
        cls,
        uri: str,
        kind: Kind,
        plan_id: str,
        shard_rows: Mapping[int, int],
        *,
        footer: Mapping[str, str] | None = None,
        run: Mapping[str, Any] | None = None,
        append: bool = False,
    ) -> DatasetRun:
        """Begin the plan at ``uri``, or take it up again where it was left; a finished plan is left alone.

        ``shard_rows`` gives the planned rows of each shard, ``footer`` goes into every shard's metadata with what
        `FOOTERS` says of the kind, ``run`` (anything JSON) into ``run.json``. With ``append`` the shards join those
        of a closed data set.

        Raises:
            UserError: another plan's run is there, or files that are no data set, or nothing can be written.
        """
        storage = open_storage(uri)
        plan = RunPlan(plan_id, kind, 0, dict(shard_rows), {**FOOTERS[kind], **(footer or {})})
        fresh = begun(plan, run or {})
        snapshot = Snapshot.newest(storage)
        state = load_run(storage)
        if state is None:
            _refuse_foreign(storage)
            if storage.create(RUN, dump(fresh)):
                return cls(storage, plan, None)
            state = load_run(storage) or {}
        if state.get("status") == ERASING:
            raise UserError(f"an erasure of {storage.uri} was interrupted: run the same erase command again first")
        if snapshot is not None and plan_id in snapshot.plan_ids:
            sweep(storage, snapshot)
            return cls(storage, plan, snapshot)
        present = RunPlan.parse(state, storage.locate(RUN))
        if present.plan_id == plan_id:
            check_same(present, plan, storage.uri)
            check_begun_now(kind, state, storage.uri)
            storage.write(RUN, dump(resumed(state, fresh)))
            return cls(storage, present, snapshot)
        plan = appended(present, plan, snapshot, storage.uri, append)
        earlier = [*state.get("earlier_runs", []), {k: v for k, v in state.items() if k != "earlier_runs"}]
        storage.write(RUN, dump({**begun(plan, run or {}), "earlier_runs": earlier}))
        return cls(storage, plan, snapshot)

    @property
    def finished(self) -> bool:
        """Whether the plan was closed before: nothing is left to do and nothing will be written."""
        return self._snapshot is not None and self._plan.plan_id in self._snapshot.plan_ids

    def pending(self) -> list[int]:
        """The plan's shards that no worker has committed yet."""
        if self.finished:
            return []
        done = {entry.path for entry in self._storage.list(COMMITS)}
        first = self._plan.first_shard
        return [shard for shard in sorted(self._plan.shard_rows) if commit_path(first + shard) not in done]

    def close(self) -> Snapshot:
        """Check that every planned row was written or rejected, and make the run's shards the data set.

        Raises:
            UserError: rows are missing (the run is then marked failed), or nothing can be written.
        """
        if self._snapshot is not None and self.finished:
            return self._snapshot
        snapshot = self._next_snapshot(self._checked_records())
        try:
            sweep(self._storage, snapshot)
            write_inspection_files(Dataset(self.uri, snapshot, self._storage))
            state = {**(load_run(self._storage) or {}), "status": "complete", "closed": snapshot.created}
            state.pop("reason", None)
            state["counts"] = snapshot.counts
            self._storage.write(RUN, dump(state))
            created = self._storage.create(snapshot_path(snapshot.number), snapshot.to_json())
        except UserError:
            created = False
            if not self._closed_by_rival():
                raise
        if not created and not self._closed_by_rival():
            raise UserError(f"another run closed {self.uri} at the same moment: run the same command again")
        self._snapshot = Snapshot.newest(self._storage)
        assert self._snapshot is not None
        return self._snapshot

    def note(self, entries: Mapping[str, Any]) -> None:
        """Add what only the work itself could tell (anything JSON) to the run's record, before it is closed."""
        state = load_run(self._storage) or {}
        self._storage.write(RUN, dump({**state, "run": {**state.get("run", {}), **entries}}))

    def fail(self, reason: str) -> None:
        """Mark the run as failed; the same plan may take it up again."""
        state = {**(load_run(self._storage) or {}), "status": "failed", "reason": reason}
        self._storage.write(RUN, dump(state))

    def _checked_records(self) -> list[CommitRecord]:
        records, faults = [], []
        for shard, planned in sorted(self._plan.shard_rows.items()):
            record = CommitRecord.load(self._storage, commit_path(self._plan.first_shard + shard))
            if record is None:
                faults.append(f"shard {shard} ({planned} rows) was never committed")
                continue
            rejected = record.rejects.rows if record.rejects else 0
            if record.plan_id != self._plan.plan_id or planned != record.data.rows + rejected:
                faults.append(f"shard {shard}: planned {planned}, written {record.data.rows}, rejected {rejected}")
            records.append(record)
        if faults:
            reason = f"{len(faults)} of {len(self._plan.shard_rows)} shards do not add up; first: {faults[0]}"
            self.fail(reason)
            raise UserError(f"the run at {self.uri} failed: {reason}")
        return records

    def _next_snapshot(self, records: list[CommitRecord]) -> Snapshot:
        before = self._snapshot
        reasons = Counter(before.reasons if before else {})
        for record in records:
            reasons.update(record.reasons)
        files = tuple(record.data for record in records)
        rejects = tuple(record.rejects for record in records if record.rejects)
        return Snapshot(
            number=before.number + 1 if before else 1,
            kind=self._plan.kind,
            schema_version=SCHEMA_VERSION,
            created=now(),
            plan_ids=((before.plan_ids if before else ()) + (self._plan.plan_id,)),
            files=(before.files if before else ()) + files,
            rejects=(before.rejects if before else ()) + rejects,
            planned=(before.planned if before else 0) + sum(record.planned for record in records),
            reasons=dict(sorted(reasons.items())),
            footer={**(before.footer if before else {}), **self._plan.footer},
            erasures=before.erasures if before else (),
        )

    def _closed_by_rival(self) -> bool:
        newest = Snapshot.newest(self._storage)
        return newest is not None and self._plan.plan_id in newest.plan_ids


def _footer_for(rows: pa.Table, footer: Iterable[tuple[str, str]]) -> dict[str, str]:
    """``footer`` with the names of the people on ``rows`` alone: whoever is erased is named by no other shard."""
    own = dict(footer)
    if ClassMap.FOOTER_KEY in own:
        people = set(rows.column("identity").unique().to_pylist())
        own[ClassMap.FOOTER_KEY] = ClassMap.from_json(own[ClassMap.FOOTER_KEY]).only(people).to_json()
    return own


def _refuse_foreign(storage: Storage) -> None:
    """A folder with other files in it is not ours to sweep; a rival who began a moment ago has seen to that."""
    paths = [entry.path for entry in storage.list()]
    for path in paths:
        if RUN not in paths and not TEMPORARY.fullmatch(path.rpartition("/")[2]):
            raise UserError(f"{storage.uri} holds files that are no data set ({path}): choose an empty folder")
