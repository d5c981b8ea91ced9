from __future__ import annotations

from pathlib import Path

import pytest

from manifests.store import Dataset, DatasetRun, open_dataset
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, reject_rows, synthetic_rows


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
