"""What belongs to a data set, as small JSON files: snapshots, commit records, the run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from manifests.common.json_text import lenient_json
from manifests.common.strict_json import Count, Digest, Number, Text, parse_json, validated
from manifests.disk.run_form import CheckedRun, Counts
from manifests.errors import UserError, one_line
from manifests.format.schema import Kind, check_version, is_newer
from manifests.storage.whole_files import Storage

RUN = "run.json"
COMMITS = "_commits"
SNAPSHOTS = "_snapshots"
ERASING = "erasing"
"""Status of a data set's run while rows are taken out of it; set first, cleared last."""
MEND = "put back a copy of the file, or make the data set again"
"""What can be done about a damaged file."""
_SHARD_PATH = r"^(data/[0-9]{6,19}-[0-9a-f]{16}\.parquet|rejects/[0-9]{6,19}-[0-9a-f]{16}\.(table|parquet))$"
"""Rejects end as `manifests.disk.tables` says."""
_DERIVED = ("rows", "rejected", "erased")
"""What a snapshot's file says for people's sake; it follows from the rest."""


class BrokenDatasetError(UserError):
    """A data set's own log or files cannot be trusted: ``file`` is what is wrong."""

    def __init__(self, message: str, file: str = "") -> None:
        super().__init__(message)
        self.file = file


@contextmanager
def expecting(what: str, where: str, path: str) -> Iterator[None]:
    """The file at ``path`` of a data set, which lies at ``where``, is read as ``what``.

    Raises:
        BrokenDatasetError: a ValueError says that it is none.
    """
    try:
        yield
    except ValueError as error:
        raise BrokenDatasetError(f"{where} is no {what}: {error}; {MEND}", path) from None


@dataclass(frozen=True)
class FileEntry:
    """One Parquet file: its path in the data set, its size in bytes, its digest, its rows, its shard."""

    path: Annotated[str, Field(strict=True, pattern=_SHARD_PATH)]
    """No other path is read, so that no reader is led elsewhere."""
    bytes: Count
    sha256: Digest
    rows: Count
    shard: Count

    def __post_init__(self) -> None:
        # The rest of the name is the digest's only where no erasure wrote the file (see `manifests.disk.shards`).
        if not self.path.partition("/")[2].startswith(f"{self.shard:06d}-"):
            raise ValueError("the file's name is not that of its shard")


@dataclass(frozen=True)
class Erasure:
    """What one erasure took out of a data set; whom is in ``keys`` alone (see `manifests.reading.erasure_log`)."""

    time: Text
    snapshot: Count
    """The snapshot that it made."""
    keys: tuple[Text, ...]
    rows: Count
    rejects: Count


@dataclass(frozen=True)
class CommitRecord:
    """One finished shard: ``planned = data.rows + (rejects.rows if rejects else 0) + erased``."""

    plan_id: Text
    shard: Count
    planned: Count
    data: FileEntry
    rejects: FileEntry | None
    reasons: dict[Text, Count]
    """Rejected rows by reason."""
    stats: dict[Text, Number]
    """What the worker measured (seconds by stage, say)."""
    erased: Count = 0
    """Rows and rejected rows that were erased after the commit."""
    row_plans: tuple[Text, ...] = ()
    """Plans that made the rows where this one only collected them (a merge)."""

    @property
    def path(self) -> str:
        """Where the record lies."""
        return commit_path(self.shard)

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """What it names."""
        return (self.data, self.rejects) if self.rejects else (self.data,)

    def to_json(self) -> bytes:
        return dump(asdict(self))

    @classmethod
    def load(cls, storage: Storage, path: str) -> CommitRecord | None:
        """The record at ``path``, or None.

        Raises:
            BrokenDatasetError: it is there and is no commit record.
        """
        data = storage.read(path)
        return cls._of(data, storage.locate(path), path) if data is not None else None

    @classmethod
    def load_all(cls, storage: Storage, paths: Sequence[str]) -> Iterator[CommitRecord | None]:
        """The same of many; raises as `load`."""
        for path, data in zip(paths, storage.read_all(paths), strict=True):
            yield cls._of(data, storage.locate(path), path) if data is not None else None

    @classmethod
    def _of(cls, data: bytes, where: str, path: str) -> CommitRecord:
        value = _object(data, where, path)
        with expecting("commit record", where, path):
            # A version that adds keys to records will say so here; until then an unknown one is a known one, damaged.
            version = version_in(value)
            value.pop("schema_version", None)
            return validated(_RECORD, value, lenient=is_newer(version))


@dataclass(frozen=True)
class Snapshot:
    """A state of the data set: exactly the files that belong to it."""

    number: Count
    kind: Kind
    schema_version: Text
    created: Text
    plan_ids: tuple[Text, ...]
    files: tuple[FileEntry, ...]
    rejects: tuple[FileEntry, ...]
    planned: Count
    reasons: dict[Text, Count]
    footer: dict[Text, Text]
    erasures: tuple[Erasure, ...] = ()
    runs: tuple[CheckedRun, ...] = ()
    """The record of each run, oldest first, as it was closed: what ``run.json`` must say. None of older versions."""

    @property
    def named(self) -> dict[str, FileEntry]:
        """Every file that belongs to this state, by path."""
        return {entry.path: entry for entry in (*self.files, *self.rejects)}

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
    def counts(self) -> Counts:
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
        derived = {name: value.pop(name) for name in _DERIVED if name in value}
        with expecting("snapshot", where, path):
            version = version_in(value)
            check_version(version, where)
            snapshot = validated(_SNAPSHOT, value, lenient=is_newer(version))
            if snapshot.number != number:
                raise ValueError(f"it says of itself that it is number {snapshot.number}")
            for name, said in derived.items():
                if type(said) is not int or said != getattr(snapshot, name):
                    raise ValueError(f"{name} is {one_line(repr(said))}, its files say {getattr(snapshot, name)}")
            return snapshot


class _Versioned(TypedDict):
    schema_version: NotRequired[Text]


_RECORD, _SNAPSHOT, _VERSIONED = TypeAdapter(CommitRecord), TypeAdapter(Snapshot), TypeAdapter(_Versioned)


def version_in(value: Mapping[str, object]) -> str:
    """The version of the schema that a record says it is of; empty where it says none.

    Raises:
        ValueError: what it says is no text.
    """
    return validated(_VERSIONED, value, lenient=True).get("schema_version", "")


def commit_path(shard: int, attempt: int = 0) -> str:
    """Where the commit record of ``shard`` lies; that of a later attempt where the files of those before are gone."""
    return f"{COMMITS}/{shard:06d}.{attempt}.json" if attempt else f"{COMMITS}/{shard:06d}.json"


def snapshot_path(number: int) -> str:
    """Where snapshot ``number`` lies."""
    return f"{SNAPSHOTS}/{number}.json"


def dump(value: Mapping[str, object]) -> bytes:
    """JSON for people and programs alike: indented, sorted keys, UTF-8.

    A NaN that an older version left in a record becomes null: it must not stand in the way of an erasure.
    """
    return (lenient_json(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def load(storage: Storage, path: str) -> dict[str, Any] | None:
    """The JSON object at ``path``, or None where there is no file.

    Raises:
        BrokenDatasetError: the file holds something else.
    """
    data = storage.read(path)
    return _object(data, storage.locate(path), path) if data is not None else None


def _object(data: bytes, where: str, path: str) -> dict[str, Any]:
    try:
        value = parse_json(data)
    except ValueError as error:
        raise BrokenDatasetError(f"{where} is not JSON: {error}; {MEND}", path) from None
    if not isinstance(value, dict):
        raise BrokenDatasetError(f"{where} holds no JSON object; {MEND}", path)
    return value
