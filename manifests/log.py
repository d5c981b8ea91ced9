"""The small JSON files that say what belongs to a data set: commit records, snapshots, the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from manifests.errors import UserError
from manifests.schema import KINDS, Kind, check_version
from manifests.storage import Storage

RUN = "run.json"
COMMITS = "_commits"
SNAPSHOTS = "_snapshots"
ERASING = "erasing"
"""Status of a data set's run while rows are taken out of it; set first, cleared last."""
_FILE_PATH = re.compile(r"(data|rejects)/[0-9]{6,}-[0-9a-f]{16}\.parquet")


class BrokenDatasetError(UserError):
    """A data set's own log cannot be trusted: ``file`` is what is wrong."""

    def __init__(self, message: str, file: str = "") -> None:
        super().__init__(message)
        self.file = file


@dataclass(frozen=True)
class FileEntry:
    """One Parquet file: its path in the data set, its size in bytes, its digest, its rows, its shard."""

    path: str
    bytes: int
    sha256: str
    rows: int
    shard: int

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> FileEntry:
        """Raises `ValueError` where the path is not one that we write: no reader may be led elsewhere."""
        entry = cls(**{name: value[name] for name in ("path", "bytes", "sha256", "rows", "shard")})
        if not _FILE_PATH.fullmatch(entry.path):
            raise ValueError(f"{entry.path!r} is not the path of a shard")
        return entry


@dataclass(frozen=True)
class Erasure:
    """What one erasure took out of a data set; who was erased is in ``keys`` alone (see `manifests.erasures`)."""

    time: str
    snapshot: int
    """The snapshot that it made."""
    keys: tuple[str, ...]
    rows: int
    rejects: int

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Erasure:
        numbers = {name: int(value[name]) for name in ("snapshot", "rows", "rejects")}
        return cls(time=str(value["time"]), keys=tuple(value["keys"]), **numbers)


@dataclass(frozen=True)
class CommitRecord:
    """One finished shard: ``planned = data.rows + (rejects.rows if rejects else 0) + erased``."""

    plan_id: str
    shard: int
    planned: int
    data: FileEntry
    rejects: FileEntry | None
    reasons: dict[str, int]
    """Rejected rows by reason."""
    stats: dict[str, float]
    """What the worker measured (seconds by stage, say)."""
    erased: int = 0
    """Rows and rejected rows that were erased after the commit."""
    row_plans: tuple[str, ...] = ()
    """Plans that made the rows where this one only collected them (a merge)."""

    @property
    def path(self) -> str:
        """Where the record lies."""
        return commit_path(self.shard)

    def to_json(self) -> bytes:
        return dump(asdict(self))

    @classmethod
    def load(cls, storage: Storage, path: str) -> CommitRecord | None:
        """The record at ``path``, or None.

        Raises:
            BrokenDatasetError: it is there and is no commit record.
        """
        value = load(storage, path)
        if value is None:
            return None
        try:
            rejects = FileEntry.parse(value["rejects"]) if value["rejects"] else None
            return cls(
                plan_id=str(value["plan_id"]),
                shard=int(value["shard"]),
                planned=int(value["planned"]),
                data=FileEntry.parse(value["data"]),
                rejects=rejects,
                reasons=dict(value["reasons"]),
                stats=dict(value["stats"]),
                erased=int(value.get("erased", 0)),
                row_plans=tuple(value.get("row_plans", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenDatasetError(f"{storage.locate(path)} is no commit record: {error!r}", path) from None


@dataclass(frozen=True)
class Snapshot:
    """A state of the data set: exactly the files that belong to it."""

    number: int
    kind: Kind
    schema_version: str
    created: str
    plan_ids: tuple[str, ...]
    files: tuple[FileEntry, ...]
    rejects: tuple[FileEntry, ...]
    planned: int
    reasons: dict[str, int]
    footer: dict[str, str]
    erasures: tuple[Erasure, ...] = ()

    @property
    def rows(self) -> int:
        """Rows written."""
        return sum(entry.rows for entry in self.files)

    @property
    def rejected(self) -> int:
        """Rows that could not be read or made."""
        return sum(entry.rows for entry in self.rejects)

    @property
    def erased(self) -> int:
        """Rows and rejected rows that were there once: ``planned = rows + rejected + erased``."""
        return sum(entry.rows + entry.rejects for entry in self.erasures)

    @property
    def counts(self) -> dict[str, Any]:
        """What became of the planned rows, for ``run.json``."""
        return {
            "planned": self.planned,
            "written": self.rows,
            "rejected": self.rejected,
            "erased": self.erased,
            "reasons": self.reasons,
        }

    def to_json(self) -> bytes:
        return dump({**asdict(self), "rows": self.rows, "rejected": self.rejected, "erased": self.erased})

    @classmethod
    def numbers(cls, storage: Storage) -> list[int]:
        """The numbers of the snapshots that are there, in order."""
        paths = (re.fullmatch(rf"{SNAPSHOTS}/([0-9]+)\.json", entry.path) for entry in storage.list(SNAPSHOTS))
        return sorted(int(match[1]) for match in paths if match)

    @classmethod
    def newest(cls, storage: Storage) -> Snapshot | None:
        """The newest snapshot, or None before a run was ever closed.

        Raises:
            UserError: a newer major version wrote it.
            BrokenDatasetError: it is there and cannot be read.
        """
        numbers = cls.numbers(storage)
        if not numbers:
            return None
        try:
            return cls.load(storage, numbers[-1])
        except BrokenDatasetError:
            # An erasure purges the old snapshots as soon as there is a new one.
            later = cls.numbers(storage)[-1:]
            if later == numbers[-1:]:
                raise
            return cls.load(storage, later[0])

    @classmethod
    def load(cls, storage: Storage, number: int) -> Snapshot:
        """Snapshot ``number``; raises as `newest`."""
        path = snapshot_path(number)
        value = load(storage, path)
        where = storage.locate(path)
        if value is None:
            raise BrokenDatasetError(f"{where} vanished while it was read", path)
        check_version(str(value.get("schema_version", "")), where)
        try:
            return cls._parse(value)
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenDatasetError(f"{where} is no snapshot: {error!r}", path) from None

    @classmethod
    def _parse(cls, value: Mapping[str, Any]) -> Snapshot:
        if value["kind"] not in KINDS:
            raise ValueError(f"unknown kind {value['kind']!r}")
        return cls(
            number=int(value["number"]),
            kind=value["kind"],
            schema_version=str(value["schema_version"]),
            created=str(value["created"]),
            plan_ids=tuple(value["plan_ids"]),
            files=tuple(FileEntry.parse(entry) for entry in value["files"]),
            rejects=tuple(FileEntry.parse(entry) for entry in value["rejects"]),
            planned=int(value["planned"]),
            reasons=dict(value["reasons"]),
            footer=dict(value["footer"]),
            erasures=tuple(Erasure.parse(entry) for entry in value.get("erasures", ())),
        )


def commit_path(shard: int) -> str:
    """Where the commit record of ``shard`` lies."""
    return f"{COMMITS}/{shard:06d}.json"


def snapshot_path(number: int) -> str:
    """Where snapshot ``number`` lies."""
    return f"{SNAPSHOTS}/{number}.json"


def dump(value: Mapping[str, Any]) -> bytes:
    """JSON for people and programs alike: indented, sorted keys, UTF-8."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def load(storage: Storage, path: str) -> dict[str, Any] | None:
    """The JSON object at ``path``, or None where there is no file.

    Raises:
        BrokenDatasetError: the file holds something else.
    """
    data = storage.read(path)
    if data is None:
        return None
    try:
        value = json.loads(data)
    except ValueError as error:
        raise BrokenDatasetError(f"{storage.locate(path)} is not JSON: {error}", path) from None
    if not isinstance(value, dict):
        raise BrokenDatasetError(f"{storage.locate(path)} holds no JSON object", path)
    return value
