from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from manifests.disk import parquet
from manifests.disk.snapshots import BrokenDatasetError
from manifests.exports.row_groups import RowGroups
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset
from tests.manifests.exports.export_rows import synthetic_dataset


@pytest.fixture
def grouped(uri: str, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Twelve rows in five row groups: 3, 3, 1 in the first file, 3, 2 in the second."""
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 3)
    return synthetic_dataset(uri)


def test_every_row_is_found(grouped: Dataset) -> None:
    groups = RowGroups(grouped, ["sample_id"], 1 << 20)
    numbers, offsets = groups.places(np.arange(12))
    assert numbers.tolist() == [0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 4]
    assert offsets.tolist() == [0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 0, 1]
    found = [
        groups[number].column("sample_id")[offset].as_py() for number, offset in zip(numbers, offsets, strict=True)
    ]
    assert found == grouped.read(["sample_id"]).column("sample_id").to_pylist()


def test_memory_stays_below_its_limit(grouped: Dataset) -> None:
    largest = max(RowGroups(grouped, ["image"], 0)[number].nbytes for number in range(5))
    groups = RowGroups(grouped, ["image"], 2 * largest)
    for number in (0, 1, 2, 3, 4, 2, 0, 4, 1):
        assert groups[number].num_rows == (3, 3, 1, 3, 2)[number]
        assert groups.cached_bytes <= 2 * largest
    alone = RowGroups(grouped, ["image"], 0)
    for number in range(5):
        assert alone.cached_bytes == 0 or alone.cached_bytes == alone[number - 1].nbytes
        assert alone[number].nbytes == alone.cached_bytes


def test_what_was_used_last_is_kept(grouped: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [RowGroups(grouped, ["image"], 0)[number].nbytes for number in (0, 1, 3)]
    groups = RowGroups(grouped, ["image"], sum(sizes) - 1)
    first, _ = groups[0], groups[1]
    assert groups[0] is first
    groups[3]
    read = []
    monkeypatch.setattr(RowGroups, "_read", lambda self, path, group: read.append((path, group)) or first)
    groups[0], groups[3]
    assert read == []
    groups[1]
    assert [group for _, group in read] == [1]


def test_a_copy_for_another_process_takes_no_images_along(grouped: Dataset) -> None:
    groups = RowGroups(grouped, ["image"], 1 << 20)
    expected = groups[3]
    copy = pickle.loads(pickle.dumps(groups))
    assert copy.cached_bytes == 0
    assert copy[3].equals(expected)


def test_a_forked_process_begins_anew(grouped: Dataset) -> None:
    groups = RowGroups(grouped, ["image"], 1 << 20)
    before = groups[0]
    child = os.fork()
    if child == 0:
        os._exit(0 if groups[0] is not before and groups[0].equals(before) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert groups[0] is before


def test_the_snapshot_that_was_opened_is_the_one_that_is_read(grouped: Dataset) -> None:
    groups = RowGroups(grouped, ["sample_id"], 0)
    Path(grouped.uri, "_snapshots", "1.json").unlink()
    assert groups[4].num_rows == 2


def test_an_object_store_is_read_too() -> None:
    dataset = open_dataset(synthetic_dataset("memory://row-groups/dataset").uri)
    assert RowGroups(dataset, ["camera"], 0)[1].num_rows == 5


def test_a_broken_file_is_named(grouped: Dataset) -> None:
    groups = RowGroups(grouped, ["image"], 0)
    path = Path(grouped.files()[1])
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BrokenDatasetError, match=path.name):
        groups[4]
