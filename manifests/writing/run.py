"""Writing a data set: each planned row exactly once, whatever is killed meanwhile.

A driver starts a `DatasetRun`, workers commit shards through its picklable `ShardSink`, the driver closes it.
A shard is committed when its record exists; the record is created exclusively after the file is durable. Closing
creates the snapshot that names the files; nothing else is ever read. Only then is anything tidied up. The states, the
steps and who may delete what are in ``docs/commit-protocol.md``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from manifests.describing.statements import FOOTERS
from manifests.disk.claims import claim_path, gone, next_number, refuse_interrupted_erasure
from manifests.disk.commits import absent, attempts
from manifests.disk.run_form import RunRecord, recorded_plan
from manifests.disk.run_record import RunPlan, begun, closed_plan, closed_runs, load_run, now, resumed
from manifests.disk.shards import sweep, whole_shards
from manifests.disk.snapshots import RUN, CommitRecord, Snapshot, commit_path, dump, snapshot_path
from manifests.errors import UserError
from manifests.format.schema import SCHEMA_VERSION, Kind
from manifests.reading.dataset import Dataset, open_dataset
from manifests.storage.whole_files import Storage, open_storage
from manifests.writing.placing import place
from manifests.writing.settling import mend, settle
from manifests.writing.shard_sink import ShardSink

__all__ = ["CommitRecord", "Dataset", "DatasetRun", "ShardSink", "Snapshot", "open_dataset"]


class DatasetRun:
    """The driver's side of one plan: `start` it, let workers commit to `sink`, `close` it.

    Example:
        >>> from manifests import DatasetRun, open_dataset
        >>> rows = open_dataset("runs/market").read()
        >>> run = DatasetRun.start("runs/copy", "source", "copy of market", {0: rows.num_rows})
        >>> record = run.sink.commit(0, rows)
        >>> run.close().rows
        6
    """

    def __init__(self, storage: Storage, plan: RunPlan, claim: int | None) -> None:
        """``claim`` is the snapshot that the run is to make, None where the plan was closed before."""
        self._storage = storage
        self._plan = plan
        self._claim = claim
        self._state: RunRecord = {}
        self._notes: dict[str, object] = {}
        self._failed_before = False
        self.uri = storage.uri
        footer = tuple(sorted(plan.footer.items()))
        self.sink = ShardSink(storage.uri, plan.kind, plan.plan_id, footer, claim, plan.first_shard)
        self.resumed_shards = 0
        self.finished = False
        """Whether the plan was closed and is all there: nothing is left to do and nothing will be written."""

    @classmethod
    def start(
        cls,
        uri: str,
        kind: Kind,
        plan_id: str,
        shard_rows: Mapping[int, int],
        *,
        footer: Mapping[str, str] | None = None,
        run: Mapping[str, object] | None = None,
        append: bool = False,
    ) -> DatasetRun:
        """Begin the plan at ``uri``, or take it up again where it was left; a finished plan is left alone.

        ``shard_rows`` gives the planned rows of each shard, ``footer`` goes into every shard's metadata with what
        `FOOTERS` says of the kind, ``run`` (anything JSON) into ``run.json``. With ``append`` the shards join those
        of a closed data set. What an earlier run left undone after its snapshot is done.

        Raises:
            UserError: another plan's run is there, or files that are no data set, or nothing can be written.
        """
        storage = open_storage(uri)
        plan = RunPlan(plan_id, kind, 0, dict(shard_rows), {**FOOTERS[kind], **(footer or {})})
        while True:
            snapshot = Snapshot.newest(storage)
            refuse_interrupted_erasure(storage, snapshot)
            if snapshot is not None and plan_id in snapshot.plan_ids:
                state = Dataset(storage.uri, snapshot, storage).run
                started = cls(storage, closed_plan(plan, snapshot, state), None)
                break
            placed = place(storage, plan, snapshot, append)
            if placed is not None:
                started = cls(storage, placed, next_number(snapshot))
                started._begin(snapshot, begun(placed, run or {}))
                break
        pending = started.pending()
        started.resumed_shards = len(plan.shard_rows) - len(pending)
        if started._claim is None and not pending:
            started._tidy()
        return started

    def pending(self) -> list[int]:
        """The plan's shards that no worker has committed yet, or whose file is gone."""
        first = self._plan.first_shard
        lost = {number - first for number in (self._unrecorded() if self._claim is not None else self._removed())}
        return [shard for shard in sorted(self._plan.shard_rows) if shard in lost]

    def close(self) -> Snapshot:
        """Check that every planned row was written or rejected, and make the run's shards part of the data set.

        Raises:
            UserError: rows are missing (the run is then marked failed), or nothing can be written.
        """
        while True:
            before = Snapshot.newest(self._storage)
            if before is not None and self._plan.plan_id in before.plan_ids:
                return self._closed_before(before)
            if self._claim != next_number(before):
                raise UserError(f"another run changed {self.uri} meanwhile: run the same command again")
            snapshot = self._next_snapshot(before, self._checked_records())
            if self._storage.create(snapshot_path(snapshot.number), snapshot.to_json()):
                self.finished = True
                return settle(self._storage, snapshot)

    def written(self) -> Dataset:
        """What the data set is when the run is closed, before that is done.

        Raises:
            UserError: rows are missing; the run is then marked failed.
        """
        newest = Snapshot.newest(self._storage)
        if newest is None or self._plan.plan_id not in newest.plan_ids:
            newest = self._next_snapshot(newest, self._checked_records())
        return Dataset(self.uri, newest, self._storage)

    def note(self, entries: Mapping[str, object]) -> None:
        """Add what only the work itself could tell (anything JSON) to the run's record when it is closed."""
        self._notes |= entries

    def fail(self, reason: str) -> None:
        """Mark the run as failed, unless a rival has closed it; the same plan may take it up again."""
        newest = Snapshot.newest(self._storage)
        closed = newest is not None and self._plan.plan_id in newest.plan_ids
        if not closed and self._claim is not None and self._storage.stat(claim_path(self._claim)) is not None:
            self._write_state({**self._recorded(), "status": "failed", "reason": reason})

    def _begin(self, snapshot: Snapshot | None, fresh: RunRecord) -> None:
        """Write the run's record, as it begins or with one more attempt."""
        if snapshot is None and self._storage.create(RUN, dump(fresh)):
            self._state = fresh
            return
        state = load_run(self._storage)
        if state is not None and recorded_plan(state) == self._plan.plan_id:
            self._failed_before = state.get("status") == "failed"
            self._state = resumed(state, fresh)
        else:
            self._state = fresh
        if snapshot is not None:
            self._state["earlier_runs"] = closed_runs(snapshot, state)
        self._write_state(self._state)

    def _write_state(self, state: RunRecord) -> None:
        """Write ``run.json``; where a rival closed the run a moment ago, what the snapshot says stands."""
        self._storage.write(RUN, dump(state))
        newest = Snapshot.newest(self._storage)
        if newest is not None and self._plan.plan_id in newest.plan_ids:
            mend(self._storage, newest)

    def _recorded(self) -> RunRecord:
        """The run's record as ``run.json`` has it, or as this driver knows it where another's writing came over it."""
        state = load_run(self._storage)
        return state if state is not None and recorded_plan(state) == self._plan.plan_id else self._state

    def _unrecorded(self) -> set[int]:
        """The numbers on disk of shards without a record, or without the file that it names."""
        own = {self._plan.first_shard + shard for shard in self._plan.shard_rows}
        last = attempts(self._storage)  # first: the file of each was there before it
        done = own & last.keys() & whole_shards(self._storage)
        if self._failed_before:
            records = CommitRecord.load_all(self._storage, [commit_path(number, last[number]) for number in done])
            files = [entry for record in records if record for entry in record.files]
            done -= {entry.shard for entry in absent(self._storage, files)}
        return own - done

    def _removed(self) -> set[int]:
        """The numbers on disk of shards that were closed and of which a file is gone."""
        newest = Snapshot.newest(self._storage)
        return {entry.shard for entry in absent(self._storage, newest.named.values() if newest is not None else ())}

    def _tidy(self) -> None:
        """What whoever closed the plan did not come to do."""
        newest = Snapshot.newest(self._storage)
        if newest is None:
            raise gone(self._storage)
        sweep(self._storage, mend(self._storage, newest))
        self.finished = True

    def _closed_before(self, snapshot: Snapshot) -> Snapshot:
        """The plan is part of the data set already: by a rival, or before this run was started."""
        if not self.finished and self._claim is not None:
            print(f"{self.uri}: another run of the same plan has closed it, nothing is left to do", flush=True)
        lost = absent(self._storage, snapshot.named.values())
        if lost:
            raise UserError(
                f"{len(lost)} files of {self.uri} are gone, first {lost[0].path}: run the command that wrote them "
                "again, or restore them from a copy"
            )
        self.finished = True
        return mend(self._storage, snapshot)

    def _checked_records(self) -> list[CommitRecord]:
        last, records, faults = attempts(self._storage), [], []
        shards, first = sorted(self._plan.shard_rows.items()), self._plan.first_shard
        paths = [commit_path(first + shard, last.get(first + shard, 0)) for shard, _ in shards]
        for (shard, planned), record in zip(shards, CommitRecord.load_all(self._storage, paths), strict=True):
            if record is None:
                faults.append(f"shard {shard} ({planned} rows) was never committed")
                continue
            rejected = record.rejects.rows if record.rejects else 0
            if record.plan_id != self._plan.plan_id or planned != record.data.rows + rejected:
                faults.append(f"shard {shard}: planned {planned}, written {record.data.rows}, rejected {rejected}")
            records.append(record)
        lost = absent(self._storage, [entry for record in records for entry in record.files])
        faults += [f"{entry.path} is gone" for entry in lost]
        if self._claim is None or self._storage.stat(claim_path(self._claim)) is None:
            raise gone(self._storage)
        if faults:
            reason = f"{len(faults)} of {len(self._plan.shard_rows)} shards do not add up; first: {faults[0]}"
            self.fail(reason)
            raise UserError(f"the run at {self.uri} failed: {reason}; run the same command again")
        return records

    def _next_snapshot(self, before: Snapshot | None, records: list[CommitRecord]) -> Snapshot:
        reasons = Counter(before.reasons if before else {})
        for record in records:
            reasons.update(record.reasons)
        files = tuple(record.data for record in records)
        rejects = tuple(record.rejects for record in records if record.rejects)
        snapshot = Snapshot(
            number=next_number(before),
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
        earlier = closed_runs(before, load_run(self._storage)) if before else ()
        return replace(snapshot, runs=(*earlier, self._closed_record(snapshot)))

    def _closed_record(self, snapshot: Snapshot) -> RunRecord:
        """What ``run.json`` will say of this run, for good."""
        state: RunRecord = {**self._recorded(), "status": "complete", "closed": snapshot.created}
        state["counts"] = snapshot.counts
        state["run"] = {**state.get("run", {}), **self._notes}
        state.pop("reason", None)
        state.pop("earlier_runs", None)
        record: RunRecord = json.loads(dump(state))
        return record
