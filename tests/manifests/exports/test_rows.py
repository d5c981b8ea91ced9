from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from manifests.disk import parquet
from manifests.disk.snapshots import BrokenDatasetError
from manifests.errors import UserError
from manifests.exports.rows import chosen_rows, image_file, read_rows
from manifests.reading.dataset import open_dataset
from manifests.writing.run import DatasetRun
from tests.manifests.exports.export_rows import source_dataset, synthetic_dataset, with_image
from tests.manifests.manifest_rows import PLAN_ID, annotation_rows


def test_chosen_rows_are_read_in_order_across_files_and_row_groups(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 3)
    dataset = synthetic_dataset(uri)
    expected = dataset.read(["sample_id", "camera"]).to_pylist()
    assert list(read_rows(dataset, chosen_rows(dataset), ["sample_id", "camera"])) == expected
    some = np.array([0, 2, 3, 6, 7, 11])
    assert list(read_rows(dataset, some, ["sample_id", "camera"])) == [expected[number] for number in some]


def test_where_chooses_rows(uri: str) -> None:
    dataset = synthetic_dataset(uri)
    cameras = dataset.read(["camera"]).column("camera").to_pylist()
    chosen = chosen_rows(dataset, "camera = 2 AND row_number > 0")
    assert chosen.tolist() == [number for number, camera in enumerate(cameras) if camera == 2 and number > 0]
    with pytest.raises(UserError, match="holds no row where camera = 99"):
        chosen_rows(dataset, "camera = 99")


def test_data_sets_without_images_are_refused(uri: str) -> None:
    run = DatasetRun.start(uri, "annotation", PLAN_ID, {0: 2})
    run.sink.commit(0, annotation_rows(2))
    run.close()
    with pytest.raises(UserError, match="holds annotations and no images"):
        chosen_rows(open_dataset(uri))
    empty = DatasetRun.start(f"{uri}-empty", "synthetic", PLAN_ID, {})
    empty.close()
    with pytest.raises(UserError, match="holds no row: nothing to export"):
        chosen_rows(open_dataset(empty.uri))


def test_a_broken_shard_is_named(uri: str) -> None:
    dataset = synthetic_dataset(uri)
    path = Path(dataset.files()[1])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BrokenDatasetError, match=path.name):
        list(read_rows(dataset, chosen_rows(dataset), ["sample_id"]))


@pytest.mark.parametrize(("image_format", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
def test_synthetic_images_are_marked_and_brought_ones_are_not(uri: str, image_format: str, suffix: str) -> None:
    synthetic = synthetic_dataset(uri, lambda number, row: with_image(row, number, image_format), sizes=(1,))
    (row,) = synthetic.read().to_pylist()
    data, found = image_file(synthetic, row)
    assert found == suffix
    assert b"DigitalSourceType" in data
    source = source_dataset(f"{uri}-source", lambda number, row: with_image(row, number, image_format), rows=1)
    (row,) = source.read().to_pylist()
    assert image_file(source, row) == (row["image"]["bytes"], suffix)


def test_a_synthetic_image_that_cannot_be_marked_is_named(uri: str) -> None:
    dataset = synthetic_dataset(uri, lambda number, row: with_image(row, number, "BMP"), sizes=(1,))
    (row,) = dataset.read().to_pylist()
    with pytest.raises(UserError, match=f"row {row['sample_id']} is broken: neither JPEG"):
        image_file(dataset, row)
