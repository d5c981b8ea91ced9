"""The worker's side of a run: a shard is committed once, whoever else computes it and whoever is killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import pyarrow as pa

from manifests.disk.claims import Claim, StandingClaim, claim_path, gone
from manifests.disk.commits import committed, is_whole
from manifests.disk.shards import encode_table
from manifests.disk.snapshots import CommitRecord, FileEntry, Snapshot, commit_path
from manifests.errors import UserError
from manifests.format.schema import REJECT_SCHEMA, SCHEMA_VERSION, SCHEMAS, Kind, conform, same_columns
from manifests.format.soft_labels import ClassMap
from manifests.storage.whole_files import Storage, open_storage


@dataclass(frozen=True)
class _Encoded:
    """A shard as it is to be written: its record, and the bytes of each file that the record names."""

    record: CommitRecord
    data: tuple[memoryview, ...]

    def write(self, storage: Storage) -> None:
        for entry, data in zip(self.record.files, self.data, strict=True):
            storage.write(entry.path, data)

    def delete(self, storage: Storage, kept: Iterable[FileEntry] = ()) -> None:
        """Take its files away again, those ``kept`` excepted."""
        for path in {entry.path for entry in self.record.files} - {entry.path for entry in kept}:
            storage.delete(path)


@dataclass(frozen=True)
class ShardSink:
    """Where workers put finished shards; picklable, and the same on every machine."""

    uri: str
    kind: Kind
    plan_id: str
    footer: tuple[tuple[str, str], ...] = ()
    claim: int | None = 1
    """The snapshot that the run is to make; None where it was closed before and a file of it is gone."""
    first_shard: int = 0
    """The number on disk of the plan's first shard."""
    _standing: StandingClaim = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_standing", StandingClaim(self.claim or 0))

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
            UserError: the run at ``uri`` is another plan's or gone, the shard's file is gone from a closed data set and
                these are other bytes, or the storage refuses.
        """
        storage = open_storage(self.uri)
        claim = self._claimed(storage, shard)
        record, attempt = committed(storage, self.first_shard + shard)
        if record is not None:
            self._check_ours(storage, record)
            return record
        rows = conform(rows, SCHEMAS[self.kind])
        rejects = conform(rejects, REJECT_SCHEMA) if rejects is not None and rejects.num_rows else None
        rejected = rejects.num_rows if rejects is not None else 0
        if claim is not None and claim.shard_rows[shard] != rows.num_rows + rejected:
            planned = claim.shard_rows[shard]
            raise ValueError(f"shard {shard}: planned {planned} rows, got {rows.num_rows} and {rejected} rejected")
        encoded = self._encoded(self.first_shard + shard, rows, rejects, stats or {}, tuple(row_plans))
        if claim is None or (attempt and self._closed(storage) is not None):
            return self._restore(storage, encoded)
        return self._commit(storage, encoded, attempt, claim)

    def _claimed(self, storage: Storage, shard: int) -> Claim | None:
        """The run's claim, which says the planned rows of ``shard``; None where the plan was closed before."""
        if self.claim is None:
            return None
        claim = self._standing.load(storage)
        if claim is None:
            raise gone(storage)
        if claim.plan_id != self.plan_id:
            raise UserError(f"the run at {self.uri} is no longer that of plan {self.plan_id[:12]}: worker stops")
        if not same_columns(self.kind, claim.schema_version):
            raise UserError(
                f"the run at {self.uri} is of schema {claim.schema_version}, this worker of {SCHEMA_VERSION}: "
                "install the same reid-synth on every machine"
            )
        if shard not in claim.shard_rows:
            raise ValueError(f"shard {shard}: planned None rows")
        return claim

    def _encoded(
        self,
        number: int,
        rows: pa.Table,
        rejects: pa.Table | None,
        stats: Mapping[str, float],
        row_plans: tuple[str, ...],
    ) -> _Encoded:
        parts = [encode_table("data", number, rows, _footer_for(rows, self.footer))]
        if rejects is not None:
            parts.append(encode_table("rejects", number, rejects, {}))
        reasons = Counter(map(str, rejects.column("reason").to_pylist()) if rejects is not None else ())
        (data, *rest), contents = zip(*parts, strict=True)
        planned = sum(entry.rows for entry, _ in parts)
        rejected = rest[0] if rest else None
        record = CommitRecord(
            self.plan_id, number, planned, data, rejected, dict(reasons), dict(stats), row_plans=row_plans
        )
        return _Encoded(record, contents)

    def _commit(self, storage: Storage, encoded: _Encoded, attempt: int, claim: Claim) -> CommitRecord:
        record = encoded.record
        try:
            encoded.write(storage)
            won = storage.create(commit_path(record.shard, attempt), record.to_json())
        except UserError:
            # A rival may have closed the run and swept our unfinished file away in the middle of our write.
            winner, _ = committed(storage, record.shard)
            if winner is None:
                self._check_there(storage, encoded, attempt, claim)
                raise
            return winner
        if won:
            self._check_there(storage, encoded, attempt, claim)
            return record
        winner, _ = committed(storage, record.shard)
        if winner is None:
            raise gone(storage)
        self._check_ours(storage, winner)
        encoded.delete(storage, kept=winner.files)
        return winner

    def _check_there(self, storage: Storage, encoded: _Encoded, attempt: int, claim: Claim) -> None:
        """A folder that vanished meanwhile is not begun anew by what a worker writes last."""
        if storage.stat(claim_path(claim.number)) is None:
            storage.delete(commit_path(encoded.record.shard, attempt))
            encoded.delete(storage)
            raise gone(storage)

    def _check_ours(self, storage: Storage, record: CommitRecord) -> None:
        if record.plan_id != self.plan_id:
            where = storage.locate(commit_path(record.shard))
            raise UserError(f"{where} is of plan {record.plan_id[:12]}, not {self.plan_id[:12]}: worker stops")

    def _restore(self, storage: Storage, encoded: _Encoded) -> CommitRecord:
        """Put files back that are gone from a closed data set; nothing but the bytes that its snapshot names."""
        record = encoded.record
        snapshot = self._closed(storage)
        named = snapshot.named.values() if snapshot is not None else ()
        missing = [entry for entry in named if entry.shard == record.shard and not is_whole(storage, entry)]
        if not set(missing) <= set(record.files):
            raise UserError(
                f"a file of shard {record.shard} is gone from {self.uri}, and made again it has other bytes (other "
                "software or hardware made it, or rows were erased): restore it from a copy, or make the data set "
                "anew in another folder"
            )
        for entry, data in zip(record.files, encoded.data, strict=True):
            if entry in missing:
                storage.write(entry.path, data)
        now = self._closed(storage)
        encoded.delete(storage, kept=now.named.values() if now is not None else ())
        storage.create(record.path, record.to_json())
        return record

    def _closed(self, storage: Storage) -> Snapshot | None:
        """The newest snapshot, if the plan is part of it."""
        newest = Snapshot.newest(storage)
        return newest if newest is not None and self.plan_id in newest.plan_ids else None


def _footer_for(rows: pa.Table, footer: Iterable[tuple[str, str]]) -> dict[str, str]:
    """``footer`` with the names of the people on ``rows`` alone: whoever is erased is named by no other shard."""
    own = dict(footer)
    if ClassMap.FOOTER_KEY in own:
        people = set(rows.column("identity").unique().to_pylist())
        own[ClassMap.FOOTER_KEY] = _classes(own[ClassMap.FOOTER_KEY]).only(people).to_json()
    return own


_classes = lru_cache(maxsize=4)(ClassMap.from_json)
"""The same for all shards of a run."""
