"""What a data set says of itself: commit records, snapshots, ``run.json``, the log of erasures."""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from manifests.checking.validate import validate
from manifests.disk.snapshots import RUN, CommitRecord, commit_path, snapshot_path
from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.reading.dataset import open_dataset
from manifests.reading.erasure_log import ERASURES, read_log
from manifests.storage.whole_files import Storage, open_storage
from manifests.writing.gc import collect_garbage
from manifests.writing.run import DatasetRun
from tests.fuzz.mutations import mutated_bytes, mutated_json
from tests.fuzz.target import REFUSALS, Reader, Target, check_line
from tests.manifests.manifest_rows import CLASSES, FOOTER, PLAN_ID, reject_rows, synthetic_rows

_SHARDS = {0: 3, 1: 2}
_number = itertools.count()


class Case(NamedTuple):
    """A file of the data set and what stands in it."""

    path: str
    content: bytes


def set_up() -> Reader:
    """A small data set that was closed, and from which somebody was erased."""
    uri = "memory://fuzz/original"
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, _SHARDS, footer=FOOTER)
    run.sink.commit(0, synthetic_rows(0, 3))
    run.sink.commit(1, synthetic_rows(1, 1), reject_rows(1))
    run.close()
    erase([uri], Request(frozenset({sorted(CLASSES.named)[1]})))
    storage = open_storage(uri)
    files = {entry.path: storage.read(entry.path) or b"" for entry in storage.list()}
    records = [path for path in files if path.endswith(".json") and (path == RUN or path.startswith("_"))]
    cases: list[st.SearchStrategy[Case]] = [
        st.builds(Case, st.just(path), mutated_json(json.loads(files[path]))) for path in records
    ]
    cases.append(st.builds(Case, st.just(ERASURES), mutated_bytes(files[ERASURES])))
    return Reader(st.one_of(cases), lambda case: read(files, case))


def read(files: dict[str, bytes], case: Case) -> None:
    """Read, check, clean up and take up a data set in which one file is this."""
    storage = open_storage(f"memory://fuzz/{next(_number)}")
    for path, data in {**files, case.path: case.content}.items():
        storage.write(path, data)
    try:
        for step in (_open, _records, _check, _clean, _take_up):
            _refused_or_done(step, storage)
    finally:
        for entry in storage.list():
            storage.delete(entry.path)


def _refused_or_done(step: Any, storage: Storage) -> None:
    try:
        step(storage)
    except REFUSALS as error:
        check_line(error)


def _open(storage: Storage) -> None:
    dataset = open_dataset(storage.uri)
    assert dataset.read(["sample_id"]).num_rows == dataset.scan().select("sample_id").collect().height
    assert dataset.snapshot.rows >= 0


def _records(storage: Storage) -> None:
    CommitRecord.load(storage, commit_path(0))
    read_log(storage)


def _check(storage: Storage) -> None:
    for fault in validate(storage.uri).faults:
        assert "\n" not in str(fault), f"more than one line: {fault}"


def _clean(storage: Storage) -> None:
    collect_garbage(storage.uri, dry_run=True)


def _take_up(storage: Storage) -> None:
    before = storage.read(snapshot_path(2))
    DatasetRun.start(storage.uri, "synthetic", PLAN_ID, _SHARDS, footer=FOOTER).pending()
    assert storage.read(snapshot_path(2)) == before


TARGETS = {"records": Target(2, set_up)}
