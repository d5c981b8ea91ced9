"""Who makes the next snapshot: one plan, or one erasure after another, never two at once.

``_claims/N.json`` is created exclusively, before anything else is written, and never changed. Whoever it names alone
makes snapshot N, so that the state a run builds on stays as it is until the run is closed: of two appends that begin
together one gets the claim, and with it the shard numbers that follow, and the other is told. A claim names nobody.
``docs/commit-protocol.md`` has the whole protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from manifests.common.strict_json import Count, Text, validated
from manifests.disk.run_form import RunRecord, ShardRows, recorded_plan
from manifests.disk.run_record import load_run
from manifests.disk.snapshots import ERASING, Snapshot, dump, expecting, load, version_in
from manifests.errors import UserError
from manifests.format.schema import SCHEMA_VERSION, check_version, is_newer
from manifests.storage.whole_files import Storage

CLAIMS = "_claims"


class _Form(TypedDict):
    schema_version: Text
    plan_id: Text | None
    first_shard: Count
    shard_rows: ShardRows


_FORM = TypeAdapter(_Form)


@dataclass(frozen=True)
class Claim:
    """Snapshot ``number`` is to be made by the plan ``plan_id``, or by an erasure where that is None."""

    number: int
    plan_id: str | None = None
    first_shard: int = 0
    """The number on disk of the plan's first shard."""
    shard_rows: Mapping[int, int] = field(default_factory=dict)
    """Planned rows by the plan's shard numbers."""
    schema_version: str = SCHEMA_VERSION

    def take(self, storage: Storage) -> Claim:
        """Create it unless there is one for its number; the one that is there then."""
        value = {"schema_version": self.schema_version, "plan_id": self.plan_id, "first_shard": self.first_shard}
        rows = {str(shard): rows for shard, rows in sorted(self.shard_rows.items())}
        if storage.create(claim_path(self.number), dump({**value, "shard_rows": rows})):
            return self
        present = Claim.load(storage, self.number)
        if present is None:
            raise gone(storage)
        return present

    @classmethod
    def load(cls, storage: Storage, number: int) -> Claim | None:
        """Who makes snapshot ``number``, or None where nobody has begun.

        Raises:
            UserError: a newer major version made the claim.
            BrokenDatasetError: it is there and cannot be read.
        """
        path = claim_path(number)
        value = load(storage, path)
        if value is None:
            return None
        where = storage.locate(path)
        with expecting("claim", where, path):
            version = version_in(value)
            check_version(version, where)
            form = validated(_FORM, value, lenient=is_newer(version))
        rows = {int(shard): rows for shard, rows in form["shard_rows"].items()}
        return cls(number, form["plan_id"], form["first_shard"], rows, version)


@dataclass
class StandingClaim:
    """A claim for whoever asks again and again whether it stands: it names every shard of its plan, so it is read again
    only where its file is another."""

    number: int
    _read: Claim | None = None
    _version: str = ""

    def load(self, storage: Storage) -> Claim | None:
        """`Claim.load`."""
        found = storage.stat(claim_path(self.number))
        if found is None:
            return None
        if self._read is None or found.version != self._version:
            self._read, self._version = Claim.load(storage, self.number), found.version
        return self._read


def claim_path(number: int) -> str:
    """Where the claim of snapshot ``number`` lies."""
    return f"{CLAIMS}/{number}.json"


def next_number(snapshot: Snapshot | None) -> int:
    """The number of the snapshot that follows."""
    return snapshot.number + 1 if snapshot is not None else 1


def gone(storage: Storage) -> UserError:
    """What a run says whose claim is no longer there."""
    return UserError(f"the run at {storage.uri} is gone, its folder was removed: run the same command again")


def unfinished_plan(storage: Storage, snapshot: Snapshot | None, state: RunRecord | None) -> str | None:
    """The plan that was begun and not closed yet, if any; ``state`` is what ``run.json`` holds.

    Older versions made no claims: there ``run.json`` alone says it.
    """
    claim = Claim.load(storage, next_number(snapshot))
    if claim is not None:
        return claim.plan_id
    plan_id = recorded_plan(state)
    return plan_id if snapshot is None or plan_id not in snapshot.plan_ids else None


def erasure_interrupted(storage: Storage, snapshot: Snapshot, state: RunRecord | None) -> bool:
    """Whether an erasure was begun and has made no snapshot yet. Of older versions ``run.json`` says it, until all is
    done."""
    claim = Claim.load(storage, snapshot.number + 1)
    if claim is not None:
        return claim.plan_id is None
    return not snapshot.runs and state is not None and state.get("status") == ERASING


def refuse_interrupted_erasure(storage: Storage, snapshot: Snapshot | None) -> None:
    """Nothing else goes on before it is done: what was to be erased is still there.

    Raises:
        UserError: an erasure was begun and not finished.
    """
    if snapshot is None:
        return
    state = None if snapshot.runs else load_run(storage)
    if erasure_interrupted(storage, snapshot, state):
        raise UserError(f"an erasure of {storage.uri} was interrupted: run the same erase command again first")
