"""``run.json``: what a run is to write, how it began, how often it was taken up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from manifests.common.strict_json import Count, Text, validated
from manifests.disk.run_form import RecordedPlan, Resumption, RunRecord, ShardRows, checked_run, recorded_plan
from manifests.disk.snapshots import RUN, Snapshot, expecting, load, version_in
from manifests.errors import UserError
from manifests.format.schema import SCHEMA_VERSION, Kind, check_version, same_columns
from manifests.format.soft_labels import ClassMap
from manifests.storage.whole_files import Storage


def load_run(storage: Storage) -> RunRecord | None:
    """The run's record, or None where there is none; what it does not say is not there.

    Raises:
        BrokenDatasetError: it is no record of a run.
        UserError: a newer major version wrote it.
    """
    value = load(storage, RUN)
    if value is None:
        return None
    where = storage.locate(RUN)
    with expecting("run record", where, RUN):
        version = version_in(value)
        if version:
            check_version(version, where)
        return checked_run(value)


class _Plan(TypedDict):
    plan_id: Text
    first_shard: Count
    shard_rows: ShardRows


class _Begun(TypedDict):
    kind: Kind
    plan: _Plan
    footer: dict[Text, Text]


_BEGUN = TypeAdapter(_Begun)


@dataclass(frozen=True)
class RunPlan:
    """What a run is to write: rows by the plan's shard numbers, which begin at ``first_shard`` on disk."""

    plan_id: str
    kind: Kind
    first_shard: int
    shard_rows: dict[int, int]
    footer: dict[str, str]

    def to_json(self) -> RecordedPlan:
        """What ``run.json`` says of it."""
        return {
            "plan_id": self.plan_id,
            "first_shard": self.first_shard,
            "shard_rows": {str(shard): rows for shard, rows in sorted(self.shard_rows.items())},
        }

    @classmethod
    def parse(cls, state: RunRecord, where: str) -> RunPlan:
        """The plan of the run that ``state``, at ``where``, tells of.

        Raises:
            UserError: a newer major version wrote it.
            BrokenDatasetError: it says too little.
        """
        check_version(state.get("schema_version", ""), where)
        with expecting("run record", where, RUN):
            begun = validated(_BEGUN, state, lenient=True)
        plan = begun["plan"]
        shard_rows = {int(shard): rows for shard, rows in plan["shard_rows"].items()}
        return cls(plan["plan_id"], begun["kind"], plan["first_shard"], shard_rows, begun["footer"])


def begun(plan: RunPlan, run: Mapping[str, object]) -> RunRecord:
    """The record of a run that begins now."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": plan.kind,
        "status": "running",
        "started": now(),
        "plan": plan.to_json(),
        "footer": plan.footer,
        "run": dict(run),
        "resumed": [],
    }


def resumed(state: RunRecord, fresh: RunRecord) -> RunRecord:
    """The run's record with one more attempt: when, and what differs from the first."""
    changed = {key: value for key, value in fresh["run"].items() if state.get("run", {}).get(key) != value}
    attempt: Resumption = {"time": fresh["started"], "changed": changed}
    record: RunRecord = {**state, "status": "running", "resumed": [*state.get("resumed", []), attempt]}
    record.pop("reason", None)
    record.pop("closed", None)
    return record


def closed_runs(snapshot: Snapshot, state: RunRecord | None) -> list[RunRecord]:
    """The record of every run that ``snapshot`` closed, oldest first.

    Snapshots of older versions have none: there they are what ``run.json``, whose content is ``state``, says.
    """
    if snapshot.runs or state is None:
        return list(snapshot.runs)
    last = state.copy()
    last.pop("earlier_runs", None)
    return [one for one in (*state.get("earlier_runs", []), last) if recorded_plan(one) in snapshot.plan_ids]


def closed_state(snapshot: Snapshot, state: RunRecord | None) -> RunRecord:
    """What ``run.json`` says when no run is under way: a function of the snapshot, but for those of older versions."""
    *earlier, last = closed_runs(snapshot, state) or [RunRecord()]
    closed: RunRecord = {**last, "status": "complete", "counts": snapshot.counts}
    closed.pop("reason", None)
    if earlier:
        closed["earlier_runs"] = earlier
    return closed


def check_same(present: RunPlan, plan: RunPlan, uri: str) -> None:
    key = ClassMap.FOOTER_KEY
    theirs, ours = ((one.kind, one.shard_rows, one.footer.get(key)) for one in (present, plan))
    if theirs != ours:
        raise UserError(f"the run at {uri} has the same plan id but other shards or classes: choose another folder")


def check_columns(kind: Kind, version: str, made: str, instead: str) -> None:
    """Refuse to add shards to those of an older version that have other columns: tools that read a folder of Parquet
    files take the columns of the first for those of all.

    Raises:
        UserError: they have; ``made`` says what that version did, ``instead`` what to do now.
    """
    if not same_columns(kind, version):
        raise UserError(
            f"{made} by an older version (schema {version}, this is {SCHEMA_VERSION}) whose shards have other columns: "
            f"{instead}"
        )


def appended(plan: RunPlan, snapshot: Snapshot, uri: str) -> RunPlan:
    """``plan`` with its shards numbered after those of ``snapshot``.

    Raises:
        UserError: its rows do not fit those that are there.
    """
    key = ClassMap.FOOTER_KEY
    if plan.kind != snapshot.kind:
        raise UserError(f"{uri} holds {snapshot.kind} rows: {plan.kind} rows cannot be appended")
    if plan.footer.get(key) != snapshot.footer.get(key):
        raise UserError(f"{uri} numbers its classes otherwise: append rows labelled with its own class map")
    unite = "write to another folder, and unite the two with `python -m manifests merge`"
    check_columns(snapshot.kind, snapshot.schema_version, f"{uri} was written", unite)
    first = max((entry.shard for entry in snapshot.files), default=-1) + 1
    # All shards of a data set say the same, also where an older version wrote the first of them.
    return RunPlan(plan.plan_id, plan.kind, first, plan.shard_rows, snapshot.footer)


def closed_plan(plan: RunPlan, snapshot: Snapshot, state: RunRecord | None) -> RunPlan:
    """``plan``, which is part of ``snapshot``, with the numbers that its shards have there."""
    plans = (one["plan"] for one in closed_runs(snapshot, state) if recorded_plan(one) == plan.plan_id)
    first = next((one.get("first_shard", 0) for one in plans), 0)
    return RunPlan(plan.plan_id, plan.kind, first, plan.shard_rows, snapshot.footer)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
