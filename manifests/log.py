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
class CommitRecord:
    """One finished shard: ``planned = data.rows + (rejects.rows if rejects else 0)``."""

    plan_id: str
    shard: int
    planned: int
    data: FileEntry
    rejects: FileEntry | None
    reasons: dict[str, int]
    """Rejected rows by reason."""
    stats: dict[str, float]
    """What the worker measured (seconds by stage, say)."""

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

    @property
    def rows(self) -> int:
        """Rows written."""
        return sum(entry.rows for entry in self.files)

    @property
    def rejected(self) -> int:
        """Rows that could not be read or made."""
        return sum(entry.rows for entry in self.rejects)

    def to_json(self) -> bytes:
        return dump({**asdict(self), "rows": self.rows, "rejected": self.rejected})

    @classmethod
    def newest(cls, storage: Storage) -> Snapshot | None:
        """The newest snapshot, or None before a run was ever closed.

        Raises:
            UserError: a newer major version wrote it.
            BrokenDatasetError: it is there and cannot be read.
        """
        numbers = [
            int(match[1])
            for entry in storage.list(SNAPSHOTS)
            if (match := re.fullmatch(rf"{SNAPSHOTS}/([0-9]+)\.json", entry.path))
        ]
        if not numbers:
            return None
        path = snapshot_path(max(numbers))
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
