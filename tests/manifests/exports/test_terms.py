"""Licence and consent go wherever a row goes."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from datasets import load_dataset

from manifests.exports.huggingface import export_huggingface
from manifests.exports.market1501 import LABELS, export_market1501
from manifests.exports.torch import ReIDDataset
from manifests.exports.webdataset import export_webdataset
from manifests.reading.dataset import Dataset
from tests.manifests.exports.export_rows import synthetic_dataset

LICENCES, BASES = ("CC-BY-4.0", "CC-BY-NC-4.0 AND unstated"), ("informed consent", "unstated")


@pytest.fixture
def dataset(uri: str) -> Dataset:
    def change(number: int, row: dict[str, Any]) -> None:
        row |= {"licence": LICENCES[number % 2], "consent_basis": BASES[number % 2]}

    return synthetic_dataset(uri, change)


@pytest.fixture
def terms(dataset: Dataset) -> dict[str, tuple[str, str]]:
    found = dataset.scan().select("sample_id", "licence", "consent_basis").collect()
    assert set(found["licence"]) == set(LICENCES)
    return {name: (licence, basis) for name, licence, basis in found.iter_rows()}


Terms = dict[str, tuple[str, str]]


def test_in_the_table_beside_folders_of_images(dataset: Dataset, terms: Terms, tmp_path: Path) -> None:
    export_market1501(dataset, str(tmp_path / "out"))
    table = pl.read_parquet(tmp_path / "out" / LABELS)
    assert {row["sample_id"]: (row["licence"], row["consent_basis"]) for row in table.to_dicts()} == terms
    note = (tmp_path / "out" / "README.md").read_text()
    for licence, basis in zip(LICENCES, BASES, strict=True):
        assert f"- 6 rows, by their own columns: licence {licence}, consent {basis}\n" in note


def test_in_the_json_of_tar_shards(dataset: Dataset, terms: Terms, tmp_path: Path) -> None:
    export_webdataset(dataset, str(tmp_path / "out"))
    found = {}
    for path in (tmp_path / "out").glob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                if member.name.endswith(".json"):
                    row = json.load(tar.extractfile(member))  # type: ignore[arg-type]
                    found[row["sample_id"]] = row["licence"], row["consent_basis"]
    assert found == terms


def test_in_a_folder_for_the_hub(dataset: Dataset, terms: Terms, tmp_path: Path) -> None:
    export_huggingface(dataset, str(tmp_path / "out"))
    rows = load_dataset("parquet", data_files=str(tmp_path / "out/data/*.parquet"), cache_dir=str(tmp_path / "cache"))
    assert {row["sample_id"]: (row["licence"], row["consent_basis"]) for row in rows["train"]} == terms
    assert "| licence | CC-BY-4.0 | 6 |" in (tmp_path / "out" / "README.md").read_text()


def test_in_batches_for_training_and_in_the_choice_of_rows(dataset: Dataset, terms: Terms) -> None:
    columns = ("sample_id", "licence", "consent_basis")
    rows = ReIDDataset(dataset.uri, columns=columns, where="licence = 'CC-BY-4.0'")
    assert len(rows) == 6
    assert all(
        terms[row["sample_id"]] == (row["licence"], row["consent_basis"]) for row in map(rows.__getitem__, range(6))
    )
