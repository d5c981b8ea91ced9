"""Inputs of jobs are of the right kind, with the files that were written and rows that can be used."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from manifests.errors import UserError
from manifests.format.schema import Kind
from manifests.reading.dataset import open_dataset
from manifests.reading.inputs import open_input
from manifests.reading.shard_check import check_shards
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import FOOTER, annotation_rows, source_rows, synthetic_rows


def closed(uri: str, kind: Kind, *shards: pa.Table) -> Dataset:
    rows = {number: shard.num_rows for number, shard in enumerate(shards)}
    run = DatasetRun.start(uri, kind, "plan", rows, footer=FOOTER if kind == "synthetic" else {})
    for number, shard in enumerate(shards):
        run.sink.commit(number, shard)
    run.close()
    return open_dataset(uri)


def test_another_kind_is_refused_by_the_flag_that_named_it(tmp_path: Path) -> None:
    uri = closed(str(tmp_path / "set"), "source", source_rows(2)).uri
    assert open_input(uri, "source").uri == uri
    assert open_input(uri, "synthetic", "source").snapshot.rows == 2
    with pytest.raises(UserError, match=rf"^{uri} holds source rows, annotation rows are needed: see --annotations$"):
        open_input(uri, "annotation", flag="--annotations")
    with pytest.raises(UserError, match=r"holds source rows, annotation or synthetic rows are needed$"):
        open_input(uri, "annotation", "synthetic")


def two_shards(uri: str) -> Dataset:
    rows = source_rows(3)
    return closed(uri, "source", rows.slice(0, 2), rows.slice(2))


@pytest.mark.parametrize("damage", ["flipped", "shorter", "longer", "gone"])
def test_a_file_that_changed_is_named(damage: str, tmp_path: Path) -> None:
    dataset = two_shards(str(tmp_path / "set"))
    path = Path(dataset.files()[1])
    data = path.read_bytes()
    changes = {"flipped": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "shorter": data[:-1], "longer": data + b"\0"}
    path.unlink()
    if damage in changes:
        path.write_bytes(changes[damage])
    check_shards(dataset, [0, 0])
    for numbers in (None, [1], [1, 0]):
        with pytest.raises(UserError, match=rf"^[^\n]*{path}[^\n]*$"):
            check_shards(dataset, numbers)
    path.write_bytes(data)
    check_shards(dataset)
    with pytest.raises(UserError, match=r"has 2 files of rows, and the plan reads number 3: it is not the data set"):
        check_shards(dataset, [0, 3])


def test_a_file_is_read_once_in_a_process(tmp_path: Path) -> None:
    dataset = two_shards(str(tmp_path / "set"))
    check_shards(dataset, [1])
    for path in map(Path, dataset.files()):
        path.unlink()
    check_shards(open_dataset(dataset.uri), [1])
    with pytest.raises(UserError, match=r"000000-[0-9a-f]{16}\.parquet"):
        check_shards(dataset, [0, 1])


def test_an_image_by_two_pairs_of_models_is_there_twice_and_may_be(tmp_path: Path) -> None:
    twice = closed(str(tmp_path / "set"), "annotation", annotation_rows(2), annotation_rows(2, "sam_vit_h"))
    assert open_input(twice.uri, "annotation").snapshot.rows == 4


def test_nothing_is_an_input_too(tmp_path: Path) -> None:
    uri = closed(str(tmp_path / "set"), "synthetic", synthetic_rows(0, 3).slice(0, 0)).uri
    assert open_input(uri, "synthetic").snapshot.rows == 0
