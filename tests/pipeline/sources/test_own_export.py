"""An export of ours, read again: what its names cannot say comes back from its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from manifests.checking.validate import validate
from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.errors import UserError
from manifests.exports.market1501 import LABELS, export_market1501
from manifests.format.schema import SOURCE_SCHEMA
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset
from pipeline.sources.ingest import ingest, make_plan, summarize
from pipeline.sources.known_layouts import get_layout
from pipeline.sources.reading import Provenance
from tests.manifests.people_rows import people_source, people_synthetic, write

AGAIN = Provenance("again", "again", None, None)
MARKET = get_layout("market1501")


def read_again(folder: Path, accept_generated: bool = False) -> Dataset:
    plan = make_plan(folder, MARKET, AGAIN, accept_generated=accept_generated)
    return ingest(folder, plan, AGAIN, f"{folder}-again")


@pytest.fixture
def source(tmp_path: Path) -> Dataset:
    """Three people, no sequence and no frame; one image of an unknown camera, one distractor."""
    rows = people_source("market", ["anna", "7", "0012"], images=2).to_pylist()
    rows[1]["camera"] = None
    rows[2] |= {"sequence": 3, "frame": 451}
    rows[5] |= {"identity": None, "role": "distractor"}
    return write(str(tmp_path / "market"), "source", pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA))


def facts(dataset: Dataset) -> dict[str, tuple[Any, ...]]:
    columns = ("image_sha256", "identity", "camera", "sequence", "frame", "role", "split")
    return {digest: tuple(rest) for digest, *rest in dataset.scan().select(columns).collect().iter_rows()}


def test_a_source_comes_back_as_it_was(source: Dataset, tmp_path: Path) -> None:
    export_market1501(source, str(tmp_path / "export"))
    again = read_again(tmp_path / "export")
    assert facts(again) == facts(source)
    assert set(again.read(["dataset_id"]).column("dataset_id").to_pylist()) == {"again"}


def test_an_export_of_an_older_version_says_zero_for_unknown(source: Dataset, tmp_path: Path) -> None:
    export_market1501(source, str(tmp_path / "export"))
    labels = tmp_path / "export" / LABELS
    older = pl.read_parquet(labels).drop("role", "sequence", "frame").with_columns(pl.col("camera").fill_null(0))
    older.write_parquet(labels)
    found, expected = facts(read_again(tmp_path / "export")), facts(source)
    for digest, (identity, camera, sequence, _, role, split) in found.items():
        assert (identity, camera, sequence) == expected[digest][:3]
        assert (role, split) == expected[digest][4:]


def test_a_file_without_its_row_is_read_by_its_name(source: Dataset, tmp_path: Path) -> None:
    export_market1501(source, str(tmp_path / "export"), "identity = '7'")  # the second of three names in order
    (tmp_path / "export" / LABELS).unlink()
    again = read_again(tmp_path / "export")
    assert {fact[0] for fact in facts(again).values()} == {"0002"}
    (tmp_path / "export" / LABELS).write_bytes(b"PAR1")
    with pytest.raises(UserError, match="cannot read the table of an export"):
        make_plan(tmp_path / "export", MARKET, AGAIN)


@pytest.fixture
def generated(tmp_path: Path) -> tuple[Dataset, Path]:
    """A source of two people, and the export of the rows made of it."""
    people = people_source("market", ["anna", "7"], images=2)
    made = people_synthetic(people, ClassMap.of(["anna", "7"]))
    source = write(str(tmp_path / "market"), "source", people)
    synthetic = write(str(tmp_path / "made"), "synthetic", made, classes=ClassMap.of(["anna", "7"]))
    export_market1501(synthetic, str(tmp_path / "export"))
    return source, tmp_path / "export"


def test_generated_images_are_not_read_as_real_ones(generated: tuple[Dataset, Path]) -> None:
    with pytest.raises(UserError, match=r"could be read \(generated 4; --accept-generated reads images that were"):
        read_again(generated[1])


def test_accepted_ones_are_counted_and_keep_where_they_come_from(generated: tuple[Dataset, Path]) -> None:
    source, folder = generated
    again = read_again(folder, accept_generated=True)
    assert summarize(again, accepted_generated=True).lines()[-1] == ("generated images: 4, read as real ones")
    rows = again.read(["identity", "dataset_id", "sequence", "frame", "licence", "consent_basis"]).to_pylist()
    assert {(row["identity"], row["dataset_id"]) for row in rows} == {("anna", "market"), ("7", "market")}
    assert {(row["sequence"], row["frame"]) for row in rows} == {(None, None)}
    assert validate(again.uri).faults == []
    report = erase([source.uri, again.uri], Request(frozenset({"0007"})), dry_run=True)
    assert [one.rows for one in report.datasets] == [2, 2]


def test_a_generated_image_among_real_ones_is_counted_as_refused(
    generated: tuple[Dataset, Path], tmp_path: Path
) -> None:
    source, folder = generated
    export_market1501(source, str(tmp_path / "mixed"))
    strange = next((folder / "bounding_box_train").iterdir())
    (tmp_path / "mixed" / "bounding_box_train" / "0999_c1s1_000001_00.png").write_bytes(strange.read_bytes())
    told = summarize(read_again(tmp_path / "mixed")).lines()[-1]
    assert told.startswith("generated images: 1 not read; --accept-generated reads")


def test_plans_of_files_without_an_origin_are_called_as_ever(tmp_path: Path) -> None:
    train = tmp_path / "root" / "bounding_box_train"
    train.mkdir(parents=True)
    (train / "0001_c1s1_000001_00.jpg").write_bytes(b"12345678")
    assert make_plan(tmp_path / "root", MARKET, AGAIN).plan_id == "8d39d1d6e0301d8bcfc0816ea52f850d"
