from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset, DatasetRun
from tests.faulty_proxy import FaultyProxy
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, reject_rows, synthetic_rows
from tests.s3_server import S3Server


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "dataset")


@pytest.fixture
def dataset(uri: str) -> Dataset:
    """A closed synthetic data set: 12 rows in two shards, a third shard of nothing but two rejected rows."""
    run = DatasetRun.start(uri, "synthetic", PLAN_ID, {0: 7, 1: 6, 2: 2}, footer=FOOTER)
    run.sink.commit(0, synthetic_rows(0, 7))
    run.sink.commit(1, synthetic_rows(1, 5), reject_rows(1), {"seconds": 0.5})
    run.sink.commit(2, synthetic_rows(2, 0), reject_rows(2, "too_dark"))
    run.close()
    return open_dataset(uri)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def one_proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    """One for all tests: polars remembers the address by which it first reached a bucket."""
    with FaultyProxy(s3_server.url) as proxy:
        yield proxy


@pytest.fixture
def proxy(one_proxy: FaultyProxy, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """Between the S3 server and all that this process opens below ``s3://bucket/``; passes everything on at first."""
    for name, value in s3_server.environment(one_proxy.url).items():
        monkeypatch.setenv(name, value)
    one_proxy.seed(7)
    one_proxy.cut_after = None
    yield one_proxy
    one_proxy.mend()
