"""A folder for the Hugging Face Hub, opened by Hugging Face datasets and by ourselves."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest
from huggingface_hub import DatasetCard

from manifests.checking.validate import validate
from manifests.errors import UserError
from manifests.exports.huggingface import export_huggingface
from manifests.exports.market1501 import export_market1501
from manifests.exports.webdataset import export_webdataset
from manifests.format.schema import SOURCE_SCHEMA
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset
from tests.manifests.exports.export_rows import dataset_of, source_dataset, synthetic_dataset
from tests.manifests.manifest_rows import source_rows

LOAD = """
    import datasets, sys

    for folder in sys.argv[2:]:
        found = datasets.load_dataset(folder)
        assert {split: len(rows) for split, rows in found.items()} == {"train": 4, "query": 2, "gallery": 4}, found
    rows = datasets.load_dataset(sys.argv[1], split="train")
    assert len(rows) == 12
    assert isinstance(rows.features["image"], datasets.Image)
    assert rows[0]["image"].size == (rows[0]["width"], rows[0]["height"])
    assert set(rows["digital_source_type"]) == {"trainedAlgorithmicMedia"}
"""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "hub"


def test_datasets_loads_the_folder(dataset: Dataset, output: Path, tmp_path: Path) -> None:
    """Of real images it shows the splits, in each form that it knows; none of the queries is lost."""
    export_huggingface(dataset, str(output))
    rows = source_rows(10).to_pylist()
    people, others = ([row for row in rows if (row["role"] == "person") is shown] for shown in (True, False))
    tables = [
        pa.Table.from_pylist([{**row, "split": split} for row in some], schema=SOURCE_SCHEMA)
        for split, some in (("train", people[:4]), ("query", people[4:]), ("gallery", others))
    ]
    source = dataset_of(str(tmp_path / "source"), tables, "source")
    exports = (export_huggingface, export_webdataset, export_market1501)
    folders = [str(tmp_path / f"export-{number}") for number in range(3)]
    for export, folder in zip(exports, folders, strict=True):
        export(source, folder)
    offline = {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LOAD), str(output), source.uri, *folders],
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("make", [synthetic_dataset, source_dataset])
def test_the_copy_is_the_data_set(uri: str, output: Path, make: type) -> None:
    dataset = make(uri)
    exported = export_huggingface(dataset, str(output))
    assert exported.images == dataset.snapshot.rows
    assert validate(str(output)).faults == []
    assert open_dataset(str(output)).digest() == dataset.digest()
    assert DatasetCard((output / "README.md").read_text()).data.license == "other"


def test_rejects_go_along_and_what_belongs_to_no_snapshot_does_not(dataset: Dataset, output: Path) -> None:
    Path(dataset.uri, "data", "scratch.parquet").write_bytes(b"x")
    Path(dataset.uri, "notes.txt").write_text("mine")
    export_huggingface(dataset, str(output))
    assert validate(str(output)).faults == []
    assert open_dataset(str(output)).rejects().num_rows == 3
    assert not (output / "data" / "scratch.parquet").exists()
    assert not (output / "notes.txt").exists()


def test_shards_are_linked_and_taking_the_original_away_takes_nothing(dataset: Dataset, output: Path) -> None:
    export_huggingface(dataset, str(output))
    for path in map(Path, dataset.files()):
        assert (output / "data" / path.name).samefile(path)
        path.unlink()
    assert validate(str(output)).faults == []


def test_from_an_object_store_it_is_copied(output: Path) -> None:
    export_huggingface(synthetic_dataset("memory://huggingface/dataset"), str(output))
    assert validate(str(output)).faults == []


def test_a_missing_shard_ends_it_and_leaves_nothing(dataset: Dataset, output: Path) -> None:
    Path(dataset.files()[1]).unlink()
    with pytest.raises(UserError, match="cannot read"):
        export_huggingface(dataset, str(output))
    assert [path.name for path in output.parent.iterdir()] == ["dataset"]


def test_one_is_told_what_not_to_publish_unread(dataset: Dataset, output: Path) -> None:
    (note,) = export_huggingface(dataset, str(output)).notes
    assert "run.json" in note
