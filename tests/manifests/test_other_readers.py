"""Other people's tools open a data set with no code of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pytest

from manifests.erasing.erase import Request, erase
from manifests.writing.run import Dataset, open_dataset

HUGGING_FACE = """
    import datasets, sys

    files = sys.argv[1] + "/data/*.parquet"
    for streaming in (False, True):
        rows = datasets.load_dataset("parquet", data_files=files, split="train", streaming=streaming)
        assert isinstance(rows.features["image"], datasets.Image), rows.features
        row = next(iter(rows))
        assert row["image"].size == (row["width"], row["height"]), row["image"]
        assert row["image"].mode == "RGB"
        assert row["soft_label"][0]["idx"] == row["hard_label"]
        assert sum(1 for _ in rows) == 12
    # The folder by itself: the card says where the rows are, so the index beside them is not taken for data.
    assert len(datasets.load_dataset(sys.argv[1], split="train")) == 12
"""


def test_hugging_face_datasets_show_pictures(dataset: Dataset, tmp_path: Path) -> None:
    offline = {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(HUGGING_FACE), dataset.uri],
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr


def test_polars_scans_the_folder(dataset: Dataset) -> None:
    rows = pl.scan_parquet(f"{dataset.uri}/data/*.parquet")
    counted = rows.group_by("camera").len().sort("camera").collect()
    assert counted.rows() == [(1, 7), (2, 5)]
    first = rows.filter(pl.col("identity") == "0007").select("image").head(1).collect().item()
    assert first["bytes"].startswith(b"\x89PNG")


def test_polars_opens_the_index(dataset: Dataset) -> None:
    meta = pl.read_parquet(f"{dataset.uri}/samples_meta.table")
    assert meta.height == 12
    assert meta["quality"].struct.field("style_shift").mean() == pytest.approx(0.275, abs=0.01)


def test_duckdb_queries_the_folder(dataset: Dataset) -> None:
    rows = f"read_parquet('{dataset.uri}/data/*.parquet')"
    counted = duckdb.sql(f"SELECT camera, count(*) FROM {rows} GROUP BY camera ORDER BY camera").fetchall()
    assert counted == [(1, 7), (2, 5)]
    labelled = duckdb.sql(f"SELECT hard_label, soft_label[1].idx, octet_length(image.bytes) FROM {rows}").fetchall()
    assert len(labelled) == 12
    assert all(hard_label == listed and size > 100 for hard_label, listed, size in labelled)


def test_pyarrow_filters_the_folder(dataset: Dataset) -> None:
    rows = pads.dataset(f"{dataset.uri}/data", format="parquet").to_table(
        columns=["identity", "camera"], filter=pc.field("camera") == 2
    )
    assert rows.num_rows == 5
    assert rows.schema.metadata[b"reid_synth.generated_by"] == b"reid-synth"


Names = Callable[[str], list[str]]


def _by_duckdb(place: str) -> list[str]:
    return [name for (name,) in duckdb.sql(f"SELECT sample_id FROM read_parquet('{place}')").fetchall()]


OPENERS: dict[str, tuple[Names, tuple[str, ...]]] = {
    "DuckDB": (_by_duckdb, ("", "/data", "/**/*.parquet")),
    "pandas": (lambda place: pd.read_parquet(place)["sample_id"].to_list(), ("/data",)),
    "polars": (lambda place: pl.read_parquet(place)["sample_id"].to_list(), ("/data", "/**/*.parquet")),
    "pyarrow": (lambda place: _column(pads.dataset(place, format="parquet").to_table()), ("/data",)),
}


def _column(table: pa.Table) -> list[str]:
    return [str(name) for name in table.column("sample_id").to_pylist()]


@pytest.mark.parametrize(
    ("tool", "place"), [(tool, place) for tool, (_, places) in OPENERS.items() for place in places]
)
def test_whoever_opens_the_folder_finds_each_row_once(dataset: Dataset, tool: str, place: str) -> None:
    """With rejects, the index and the log of an erasure beside them."""
    expected = dataset.read(["sample_id", "identity"]).filter(pc.field("identity") != "0011")
    erase([dataset.uri], Request(frozenset({"0011"})))
    assert open_dataset(dataset.uri).snapshot.rejects
    assert sorted(OPENERS[tool][0](dataset.uri + place)) == sorted(_column(expected))


@pytest.mark.parametrize("tool", ["pandas", "polars", "pyarrow"])
def test_who_takes_every_file_for_a_table_refuses_the_folder(dataset: Dataset, tool: str) -> None:
    """None of them counts wrongly without a word: what they open is ``data``."""
    with pytest.raises((pa.ArrowInvalid, pl.exceptions.InvalidOperationError), match=r"README\.md|file extensions"):
        OPENERS[tool][0](dataset.uri)


@pytest.mark.ray
def test_ray_data_reads_each_row_once(local_ray: str, dataset: Dataset) -> None:
    import ray

    for place in (dataset.uri, f"{dataset.uri}/data"):
        rows = ray.data.read_parquet(place, override_num_blocks=1).select_columns(["sample_id"])
        assert sorted(row["sample_id"] for row in rows.take_all()) == sorted(_column(dataset.read(["sample_id"])))
