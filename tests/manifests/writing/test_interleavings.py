"""Two commands at one data set, in every order of their steps and with a kill at each: nothing is lost or doubled.

Complete for up to two preemptions, where commands are long for one (`tests.manifests.writing.interleaving`);
``REID_SYNTH_PREEMPTIONS=2`` or ``3`` looks that far in all cases.
"""

from __future__ import annotations

import copy
import json
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.disk import parquet
from manifests.disk.claims import Claim
from manifests.disk.run_record import closed_state
from manifests.disk.snapshots import RUN, CommitRecord, FileEntry, Snapshot, commit_path, dump
from manifests.erasing.erase import erase
from manifests.erasing.removal import Removal
from manifests.erasing.traces import Request
from manifests.errors import UserError
from manifests.format.schema import ANNOTATION_SCHEMA
from manifests.reading.dataset import Dataset
from manifests.writing.gc import collect_garbage
from manifests.writing.run import DatasetRun
from tests.manifests.manifest_rows import annotation_rows, name
from tests.manifests.writing.interleaving import Actor, Call, Command, Files, Killed, Outcome, TurnStorage, explore

ENCODE = parquet.encode
URI = "memory://turns/set"
A, B, X, Y = (name(f"plan {letter}") for letter in "ABXY")
SHARDS = dict.fromkeys((A, B, X, Y), 1)
APPENDED = (X, Y)


class Place:
    """Where `open_storage` leads while a test runs."""

    storage: TurnStorage


@pytest.fixture(autouse=True)
def _at_the_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("writing.run", "writing.shard_sink", "reading.dataset", "writing.gc"):
        monkeypatch.setattr(f"manifests.{module}.open_storage", lambda uri: Place.storage)
    monkeypatch.setattr("manifests.writing.settling.write_inspection_files", write_card)
    monkeypatch.setattr("manifests.disk.parquet.encode", encode)
    monkeypatch.setattr(Dataset, "read_as_written", read)
    monkeypatch.setattr("manifests.erasing.erase.find_traces", lambda datasets, request: found(request))
    monkeypatch.setattr("manifests.erasing.erase._removal", removal)
    monkeypatch.setattr("manifests.erasing.erase._described", lambda *_: None)
    monkeypatch.setattr("manifests.erasing.erase.models_behind", lambda *_: ())
    monkeypatch.setattr("manifests.erasing.erase.new_receipt", lambda: "0" * 32)
    for module in ("writing.run", "erasing.removal", "disk.run_record"):
        monkeypatch.setattr(f"manifests.{module}.now", lambda: "2026-11-28T00:00:00+00:00")


def write_card(dataset: Dataset) -> None:
    """In place of card, index and metadata: one file that follows from the snapshot and needs all of its files."""
    rows = sum(dataset.read_file(entry).num_rows for entry in dataset.snapshot.files)
    dataset.storage.write("README.md", dump({"snapshot": dataset.snapshot.number, "rows": rows}))


@cache
def _encoded(table: bytes, footer: tuple[tuple[str, str], ...]) -> bytes:
    return bytes(ENCODE(pa.ipc.open_stream(table).read_all(), dict(footer)))


def encode(table: pa.Table, footer: dict[str, str] | None = None) -> bytes:
    """Parquet files as always; each is made once."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return _encoded(sink.getvalue().to_pybytes(), tuple(sorted((footer or {}).items())))


@cache
def decoded(data: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(data))


def read(dataset: Dataset, entry: FileEntry, columns: object = None, filter: object = None) -> pa.Table:
    """In place of `Dataset.read_as_written`: each file is decoded once."""
    data = dataset.storage.read(entry.path)
    if data is None:
        raise UserError(f"{dataset.storage.locate(entry.path)} is missing")
    return decoded(data)


def found(request: Request) -> SimpleNamespace:
    return SimpleNamespace(people=frozenset(), subjects=frozenset(), found=request.images, written=frozenset())


def removal(dataset: Dataset, traces: object, request: Request) -> Removal:
    """In place of the search for who is on the rows: the images that are asked for."""
    tables = (dataset.read_file(entry) for entry in dataset.snapshot.files)
    gone = [np.isin(table.column("image_id").to_pylist(), list(request.images)) for table in tables]
    return Removal(tuple(gone), (), frozenset(), request.images)


@cache
def shard_rows(plan: str, shard: int, variant: int = 0) -> pa.Table:
    """Two rows of one shard; ``variant`` changes bytes but not names, as another processor's arithmetic would."""
    rows = annotation_rows(2).to_pylist()
    for number, row in enumerate(rows):
        row.update(image_id=name(f"{plan} {shard} {number}"), mask_quality=0.5 + variant / 100)
    return pa.Table.from_pylist(rows, schema=ANNOTATION_SCHEMA)


def ids(plan: str, shards: Sequence[int] | None = None) -> list[str]:
    chosen = range(SHARDS[plan]) if shards is None else shards
    return [one for shard in chosen for one in shard_rows(plan, shard).column("image_id").to_pylist()]


def start(plan: str) -> DatasetRun:
    return DatasetRun.start(URI, "annotation", plan, dict.fromkeys(range(SHARDS[plan]), 2), append=plan in APPENDED)


def write(plan: str, variant: int = 0) -> Command:
    """A whole run: the driver and its workers."""

    def command() -> None:
        run = start(plan)
        for shard in run.pending():
            run.sink.commit(shard, shard_rows(plan, shard, variant))
        run.close()

    return command


class Late:
    """A driver that starts before all others and closes when the test says."""

    def start(self) -> None:
        self.run = start(A)

    def close(self) -> None:
        late = copy.copy(self.run)
        late._storage = Place.storage
        late.close()


LATE = Late()


def take_out(image: str) -> Command:
    return lambda: erase([URI], Request(images=frozenset({image})))


def collect() -> None:
    collect_garbage(URI)


def killed_after(command: Command, kind: str, path: str) -> Command:
    """``command``, killed just after this call."""

    def killed() -> None:
        actor = Actor(command)
        while actor.proceed(1) != [Call(kind, path)]:
            assert actor.error is None
        actor.kill()

    return killed


def lose(path: str) -> Command:
    """A file that is deleted by somebody else."""
    return lambda: Place.storage.delete(next(one for one in Place.storage.files if one.startswith(path)))


def leave() -> None:
    """What a worker left long ago that was killed before its record."""
    Place.storage.write("data/000099-0123456789abcdef.parquet", b"torn")


def storage_of(files: Files) -> TurnStorage:
    Place.storage = TurnStorage(URI, files, time.time())
    Place.storage.changed = lambda: check_readable(Place.storage.files)
    return Place.storage


def check_readable(files: Files) -> None:
    """What a reader finds at any moment: a snapshot all of whose files are there, no row of it twice."""
    numbers = [int(path[len("_snapshots/") : -len(".json")]) for path in files if path.startswith("_snapshots/")]
    if numbers:
        named = named_in(files[f"_snapshots/{max(numbers)}.json"][0])
        assert named <= files.keys(), named - files.keys()


@cache
def named_in(snapshot: bytes) -> set[str]:
    value = json.loads(snapshot)
    return {entry["path"] for entry in (*value["files"], *value["rejects"])}


def written_rows(files: Files, paths: Sequence[str]) -> Counter[str]:
    return Counter(one for path in paths for one in decoded(files[path][0]).column("image_id").to_pylist())


def check_settled(storage: TurnStorage) -> Counter[str]:
    """All agrees with the newest snapshot, and nothing else is there; the rows."""
    files, snapshot = storage.files, Snapshot.newest(storage)
    assert snapshot is not None
    assert sorted(path for path in files if path.startswith("data/")) == sorted(snapshot.named)
    assert storage.read(RUN) == dump(closed_state(snapshot, None))
    assert Claim.load(storage, snapshot.number + 1) is None
    assert f'"snapshot": {snapshot.number}\n' in (storage.read("README.md") or b"").decode()
    for entry in snapshot.files:
        record = CommitRecord.load(storage, commit_path(entry.shard))
        assert record is not None
        assert record.data == entry
    rows = written_rows(files, list(snapshot.named))
    assert set(rows.values()) <= {1}
    assert rows.total() == snapshot.rows == snapshot.planned - snapshot.erased
    if snapshot.erasures:
        erased = max(one.snapshot for one in snapshot.erasures)
        assert min(Snapshot.numbers(storage)) >= erased
    return rows


@dataclass(frozen=True)
class Case:
    """Two commands, what was done before them, and the rows that are there when both have been given to their end."""

    commands: Sequence[Command]
    rows: Sequence[Sequence[str]]
    """Any one of these."""
    before: Sequence[Command] = ()
    refused: str = "^$"
    """What the command that lost is told for good, where it may lose."""
    preemptions: int = 2


FIRST, SECOND = ids(A)
OPEN = [killed_after(write(A), "create", "_snapshots/1.json")]
"""Closed, and nothing settled after it."""
TORN = [write(A), killed_after(take_out(FIRST), "create", "_claims/2.json")]
"""An erasure that did not come to its snapshot."""
CASES: dict[str, Case] = {
    "two drivers of one plan": Case([write(A), write(A)], [ids(A)], preemptions=1),
    "two drivers of one plan, bytes of their own": Case([write(A, 1), write(A, 2)], [ids(A)]),
    "two plans at an empty place": Case(
        [write(A), write(B)], [ids(A), ids(B)], refused="unfinished run of another plan|holds a finished data set"
    ),
    "two appends": Case([write(X), write(Y)], [ids(A) + ids(X) + ids(Y)], [write(A)]),
    "one append twice": Case([write(X), write(X)], [ids(A) + ids(X)], [write(A)], preemptions=1),
    "an append, the finished plan again": Case([write(X), write(A)], [ids(A) + ids(X)], [write(A)]),
    "an append, the late closer": Case([write(X), LATE.close], [ids(A) + ids(X)], [LATE.start, write(A)]),
    "an append, a plan that nobody settled": Case([write(X), write(A)], [ids(A) + ids(X)], OPEN, preemptions=1),
    "an append, an erasure": Case([write(X), take_out(FIRST)], [[SECOND, *ids(X)]], [write(A)], preemptions=1),
    "an append, garbage": Case([write(X), collect], [ids(A) + ids(X)], [write(A), leave]),
    "an erasure, the finished plan again": Case([take_out(FIRST), write(A)], [[SECOND]], [write(A)]),
    "an erasure, the late closer": Case([take_out(FIRST), LATE.close], [[SECOND]], [LATE.start, write(A)]),
    "an erasure, a plan that nobody settled": Case([take_out(FIRST), write(A)], [[SECOND]], OPEN, preemptions=1),
    "an erasure, garbage": Case([take_out(FIRST), collect], [[SECOND]], [write(A), leave]),
    "two erasures": Case([take_out(FIRST), take_out(SECOND)], [[]], [write(A)], preemptions=1),
    "one erasure twice": Case([take_out(FIRST), take_out(FIRST)], [[SECOND]], [write(A)], preemptions=1),
    "two erasures after one was interrupted": Case([take_out(FIRST), take_out(SECOND)], [[]], TORN, preemptions=1),
    "a committed file is gone": Case(
        [write(A), write(A, 1)],
        [ids(A)],
        [killed_after(write(A), "create", "_commits/000000.json"), lose("data/")],
        preemptions=1,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_order_and_every_kill(case: str) -> None:
    """At every step a reader finds a whole snapshot; whoever did not end well says in one line what to do, and when it
    was done everything is there once."""
    chosen = CASES[case]
    storage = storage_of({})
    for command in chosen.before:
        command()
    base = {path: (data, 0.0) for path, (data, _) in storage.files.items()}
    preemptions = int(os.environ.get("REID_SYNTH_PREEMPTIONS", chosen.preemptions))
    seen: set[str] = set()
    for outcome in explore(lambda files: (storage_of(files), chosen.commands), base, preemptions):
        if outcome.key not in seen:
            seen.add(outcome.key)
            check_ending(chosen, outcome)
    assert len(seen) > 1


def check_ending(case: Case, outcome: Outcome) -> None:
    """The commands that did not end well are given again: all is done then."""
    storage = storage_of(dict(outcome.files))
    errors = list(outcome.errors)
    try:
        for _ in range(2):
            for place, command in enumerate(case.commands):
                if errors[place] is not None:
                    errors[place] = ended(command, errors[place])
        rows = check_settled(storage)
        assert any(rows == Counter(expected) for expected in case.rows), rows
        assert all(error is None or re.search(case.refused, str(error)) for error in errors), errors
    except AssertionError as error:
        error.add_note(str(outcome))
        raise


def ended(command: Command, before: BaseException | None) -> UserError | None:
    """Give a command again that was killed or said in one line that it lost."""
    if not isinstance(before, Killed):
        assert isinstance(before, UserError), repr(before)
        assert "\n" not in str(before)
    try:
        command()
    except UserError as error:
        return error
    return None
