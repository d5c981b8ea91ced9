"""A data set's whole life in a real S3 server behind a proxy that fails: nothing lost, nothing doubled."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from manifests.checking.validate import validate
from manifests.common import patience
from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.errors import PassingError
from manifests.exports.huggingface import export_huggingface
from manifests.exports.webdataset import export_webdataset
from manifests.reading.dataset import open_dataset
from manifests.storage import object_store
from manifests.storage.whole_files import open_storage
from manifests.writing.gc import collect_garbage
from manifests.writing.run import DatasetRun
from tests.faulty_proxy import FaultyProxy
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, reject_rows, synthetic_rows

SHARDS = {0: (synthetic_rows(0, 7), None), 1: (synthetic_rows(1, 5), reject_rows(1)), 2: (synthetic_rows(2, 6), None)}
MADE = [name for rows, _ in SHARDS.values() for name in rows.column("sample_id").to_pylist()]
GONE = "0007"
LEFT = [
    name
    for rows, _ in SHARDS.values()
    for name, identity in zip(rows.column("sample_id").to_pylist(), rows.column("identity").to_pylist(), strict=True)
    if identity != GONE
]


def make(uri: str) -> None:
    planned = {shard: rows.num_rows + (rejects.num_rows if rejects else 0) for shard, (rows, rejects) in SHARDS.items()}
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, planned, footer=FOOTER)
    for shard in run.pending():
        run.sink.commit(shard, *SHARDS[shard])
    run.close()
    assert seen(uri) == MADE


def seen(uri: str) -> list[str]:
    """The rows' names, as polars finds them and as we do."""
    dataset = open_dataset(uri)
    names = dataset.scan().select("sample_id").collect()["sample_id"].to_list()
    assert dataset.read(["sample_id"]).column("sample_id").to_pylist() == names
    return names


def check(uri: str) -> None:
    assert not validate(uri).faults


def erase_one(uri: str) -> None:
    erase([uri], Request.of([GONE], []))
    assert seen(uri) == LEFT


def collect(uri: str) -> None:
    collect_garbage(uri, older_than_hours=0)
    assert seen(uri) == LEFT


def export(uri: str, folder: Path) -> None:
    dataset = open_dataset(uri)
    for name, exporter in {"hub": export_huggingface, "tar": export_webdataset}.items():
        if not (folder / name).exists():
            assert exporter(dataset, str(folder / name)).images == len(LEFT)


@pytest.fixture
def uri(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a data set may live, every try being ours; its own files alone are there at the end, once each."""
    monkeypatch.setitem(object_store._RETRIES, "max_retries", 0)
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    uri = f"s3://bucket/{uuid.uuid4().hex}/set"
    yield uri
    proxy.mend()
    snapshot = open_dataset(uri).snapshot
    there = {entry.path: entry.size for entry in open_storage(uri).list() if entry.path.startswith(("data", "rejects"))}
    assert there == {entry.path: entry.bytes for entry in (*snapshot.files, *snapshot.rejects)}
    assert snapshot.planned == snapshot.rows + snapshot.rejected + snapshot.erased


def live(uri: str, folder: Path, between: Callable[[], None] = lambda: None) -> None:
    """All of a data set's life; ``between`` is called before each step."""
    for step in (make, check, erase_one, check, collect, lambda uri: export(uri, folder)):
        between()
        step(uri)


@pytest.mark.parametrize(
    "shares", [{"cut": 0.2}, {"503": 0.06, "drop": 0.04, "reset": 0.04, "lose": 0.04, "500": 0.04}]
)
def test_a_life_among_faults_loses_and_doubles_nothing(
    proxy: FaultyProxy, uri: str, tmp_path: Path, shares: dict[str, float]
) -> None:
    proxy.shares = shares
    live(uri, tmp_path)
    assert all(proxy.met[fault] > 3 for fault in shares)


@pytest.mark.parametrize("fault", ["refuse", "drop"])
def test_a_life_with_an_outage_at_every_step(proxy: FaultyProxy, uri: str, tmp_path: Path, fault: str) -> None:
    threads = []

    def later() -> None:
        # In the middle of the step, not before it.
        threads.append(threading.Timer(0.05, proxy.outage, (fault, 0.3)))
        threads[-1].start()

    live(uri, tmp_path, later)
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("seed", range(2))
def test_who_has_no_patience_runs_the_same_command_again(
    proxy: FaultyProxy, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv(patience.VARIABLE, "0")
    proxy.seed(seed)
    proxy.shares, proxy.only = {"lose": 0.15, "503": 0.1}, "^PUT|^POST"
    again = 0
    for step in (make, check, erase_one, check, collect, lambda uri: export(uri, tmp_path)):
        while True:
            try:
                step(uri)
                break
            except PassingError:
                again += 1
    assert again
    assert proxy.met.total() >= again
