"""Croissant's own library reads the metadata without a complaint, and the rows through it."""

from __future__ import annotations

import io
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pyarrow as pa
import pytest
import rdflib
from PIL import Image

from manifests.checking.validate import validate
from manifests.describing.card import write_inspection_files
from manifests.describing.croissant import CROISSANT, dataset_urn
from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.format.columns import MEANINGS
from manifests.format.schema import SCHEMAS, Kind
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset, DatasetRun
from tests.manifests.manifest_rows import (
    CLASSES,
    FOOTER,
    PLAN_ID,
    annotation_rows,
    sha,
    source_rows,
    synthetic_rows,
)
from tests.manifests.people_rows import people_source

RUN = {
    "job": "synthesize",
    "settings": {"seed": 7},
    "settings_sha256": sha("settings"),
    "inputs": [
        {
            "role": "source",
            "id": "market",
            "licence": "Apache-2.0",
            "digest": sha("market"),
            "uri": "/somewhere/market",
        },
        {"role": "target", "id": "ours", "licence": "for tests; ask us", "digest": sha("ours"), "uri": "s3://b/ours"},
    ],
    "checkpoints": [{"role": "generator", "name": "ptgan", "sha256": sha("generator"), "recipe": "ptgan"}],
    "annotations": {"uri": "s3://b/annotations", "digest": sha("annotations"), "rows": 3, "models": []},
    "environment": {"git_commit": "c0ffee" * 6 + "0000", "fingerprint": "f1", "lock_sha256": sha("lock")},
}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("something wants to connect to somewhere")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def closed(uri: str, kind: Kind, rows: pa.Table, run: dict[str, Any] | None = None, plan: str = PLAN_ID) -> Dataset:
    footer = FOOTER if kind == "synthetic" else {}
    started = DatasetRun.start(uri, kind, plan, {0: rows.num_rows}, footer=footer, run=run, append=True)
    started.sink.commit(0, rows)
    started.close()
    return open_dataset(uri)


def opened(dataset: Dataset) -> mlcroissant.Dataset:
    """The data set by mlcroissant, after it found neither error nor warning in its metadata."""
    read = mlcroissant.Dataset(str(Path(dataset.uri, CROISSANT)))
    assert not read.metadata.ctx.issues.errors
    assert not read.metadata.ctx.issues.warnings
    return read


def records(dataset: Dataset) -> list[dict[str, Any]]:
    return list(opened(dataset).records("rows"))


def metadata(dataset: Dataset) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(Path(dataset.uri, CROISSANT).read_bytes())
    return value


def test_synthetic_rows_stream_with_pictures_labels_and_provenance(dataset: Dataset) -> None:
    found = {record["rows/sample_id"].decode(): record for record in records(dataset)}
    rows = dataset.read().to_pylist()
    assert list(found) == [row["sample_id"] for row in rows]
    for row in rows:
        record = found[row["sample_id"]]
        assert set(record) == {f"rows/{name}" for name in row}
        with Image.open(io.BytesIO(row["image"]["bytes"])) as picture:
            assert np.array_equal(np.asarray(record["rows/image"]), np.asarray(picture))
        assert record["rows/identity"].decode() == row["identity"]
        assert record["rows/seed"] == row["seed"]
        label = [
            {"idx": one["rows/soft_label/idx"], "val": one["rows/soft_label/val"]} for one in record["rows/soft_label"]
        ]
        assert label == row["soft_label"]
        assert [one["rows/sources/sha256"].decode() for one in record["rows/sources"]] == [row["sources"][0]["sha256"]]
        assert record["rows/quality"]["rows/quality/style_shift"] == np.float32(row["quality"]["style_shift"])
        assert record["rows/quality"]["rows/quality/sharpness"] is None
        assert (record["rows/mask"] is None) == (row["mask"] is None)


def test_masks_are_pictures_and_keypoints_have_coordinates(uri: str) -> None:
    record = records(closed(uri, "annotation", annotation_rows(2)))[0]
    assert (record["rows/mask"].size, record["rows/mask"].mode) == ((8, 16), "1")
    assert len(record["rows/keypoints"]) == 17
    assert record["rows/keypoints"][0] == {
        "rows/keypoints/x": 1.0,
        "rows/keypoints/y": 2.0,
        "rows/keypoints/score": 0.5,
    }


def test_source_rows_stream_with_those_that_nobody_knows(uri: str) -> None:
    found = records(closed(uri, "source", source_rows(8)))
    assert [record["rows/identity"] for record in found[:4]] == [b"0000", b"0001", None, None]
    assert found[0]["rows/image"].format == "JPEG"


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_data_set_of_no_rows_is_valid(kind: Kind, uri: str) -> None:
    assert records(closed(uri, kind, SCHEMAS[kind].empty_table())) == []
    run = DatasetRun.start(f"{uri}-no-shards", kind, PLAN_ID, {}, footer=FOOTER if kind == "synthetic" else {})
    run.close()
    assert records(open_dataset(run.uri)) == []


def test_only_the_snapshots_files_are_read_wherever_they_lie(dataset: Dataset, tmp_path: Path) -> None:
    shutil.copy(dataset.files()[0], Path(dataset.uri, "data", "copy.parquet"))
    moved = shutil.copytree(dataset.uri, tmp_path / "moved")
    shutil.rmtree(dataset.uri)
    assert len(records(open_dataset(str(moved)))) == 12


def test_every_file_is_named_with_its_digest_and_none_by_where_it_lies(dataset: Dataset) -> None:
    files = {one["contentUrl"]: one for one in metadata(dataset)["distribution"] if one["@type"] == "cr:FileObject"}
    entries = [*dataset.snapshot.files, *dataset.snapshot.rejects]
    assert list(files) == [*(entry.path for entry in entries), "samples_meta.table"]
    assert all(files[entry.path]["sha256"] == entry.sha256 for entry in entries)
    assert all(files[entry.path]["contentSize"] == f"{entry.bytes} B" for entry in entries)
    assert dataset.uri not in Path(dataset.uri, CROISSANT).read_text()


def test_the_same_snapshot_gives_the_same_bytes_and_names_nobody(dataset: Dataset) -> None:
    before = Path(dataset.uri, CROISSANT).read_bytes()
    write_inspection_files(open_dataset(dataset.uri))
    assert Path(dataset.uri, CROISSANT).read_bytes() == before
    assert not any(f'"{identity}"' in before.decode() for identity in CLASSES.identities)


def test_provenance_says_which_runs_made_it_from_what(uri: str) -> None:
    closed(uri, "synthetic", synthetic_rows(0, 3), RUN)
    dataset = closed(uri, "synthetic", synthetic_rows(1, 2, sha("later")), {**RUN, "inputs": []}, sha("later"))
    opened(dataset)
    graph = rdflib.Graph().parse(Path(dataset.uri, CROISSANT), format="json-ld")
    prov = rdflib.Namespace("http://www.w3.org/ns/prov#")
    this = rdflib.URIRef(dataset_urn(dataset.digest()))
    inputs = {rdflib.URIRef(dataset_urn(sha(name))) for name in ("market", "ours", "annotations")}
    first, later = (rdflib.URIRef(f"urn:reid-synth:plan:{plan}") for plan in (PLAN_ID, sha("later")))
    checkpoint = rdflib.URIRef(f"urn:reid-synth:checkpoint:{sha('generator')}")
    assert set(graph.objects(this, prov.wasDerivedFrom)) == inputs
    assert set(graph.objects(this, prov.wasGeneratedBy)) == {first, later}
    assert [str(one) for one in graph.objects(this, prov.wasAttributedTo)] == ["pkg:generic/reid-synth"]
    assert set(graph.objects(first, prov.used)) == {*inputs, checkpoint}
    term = rdflib.Namespace("urn:reid-synth:term:")
    assert [str(one) for one in graph.objects(first, term.settingsSha256)] == [sha("settings")]
    assert [str(one) for one in graph.objects(first, term.recipe)] == ["ptgan"]
    assert [str(one) for one in graph.objects(later, prov.endedAtTime)] == [dataset.snapshot.created]


def test_a_run_that_goes_on_does_not_show(uri: str) -> None:
    dataset = closed(uri, "synthetic", synthetic_rows(0, 3), RUN)
    before = metadata(dataset)
    DatasetRun.start(uri, "synthetic", sha("later"), {0: 2}, footer=FOOTER, run=RUN, append=True)
    write_inspection_files(open_dataset(uri))
    assert metadata(dataset) == before


def test_after_an_erasure_it_tells_of_what_is_left(uri: str) -> None:
    rows = people_source("zoo", ["aardvark", "badger"], 2)
    dataset = closed(uri, "source", rows, {"job": "prepare_source", "inputs": [{"id": "zoo"}]})
    assert len(records(dataset)) == 4
    erase([uri], Request(frozenset({"badger"})))
    left = open_dataset(uri)
    assert {record["rows/identity"] for record in records(left)} == {b"aardvark"}
    assert "badger" not in Path(uri, CROISSANT).read_text()
    assert validate(uri).faults == []
    (activity,) = metadata(left)["prov:wasGeneratedBy"]
    assert activity["prov:endedAtTime"] == dataset.snapshot.created


def test_licences_are_those_of_all_that_went_in(uri: str, tmp_path: Path) -> None:
    stated = metadata(closed(uri, "synthetic", synthetic_rows(0, 3), RUN))["license"]
    free = {"@type": "sc:CreativeWork", "name": "for tests; ask us"}
    assert stated == ["https://spdx.org/licenses/Apache-2.0", free]
    assert metadata(closed(str(tmp_path / "source"), "source", source_rows(2)))["license"] == stated[:1]
    word = {"inputs": [{"id": "x", "licence": "research"}, {"id": "y", "licence": "CC-BY-NC-4.0"}]}
    quoted = metadata(closed(str(tmp_path / "word"), "synthetic", synthetic_rows(0, 3), word))["license"]
    assert quoted == [*stated[:1], "https://spdx.org/licenses/CC-BY-NC-4.0", {**free, "name": "research"}]
    rows = synthetic_rows(0, 3)
    place = rows.schema.get_field_index("licence")
    joined = rows.set_column(place, "licence", pa.array(["MIT AND unstated", "MIT AND unstated", None]))
    unknown, known = metadata(closed(str(tmp_path / "joined"), "synthetic", joined))["license"]
    assert (unknown["name"][:18], known) == ("Terms not recorded", "https://spdx.org/licenses/MIT")
    nothing = rows.set_column(place, "licence", pa.nulls(3, pa.string()))
    unknown = metadata(closed(str(tmp_path / "unknown"), "synthetic", nothing))["license"]
    assert [one["name"] for one in unknown] == ["Terms not recorded: ask whoever holds the source images."]


def test_only_synthetic_rows_are_said_to_be_synthetic(dataset: Dataset, tmp_path: Path) -> None:
    marked = {"@id": "sc:TrainedAlgorithmicMediaDigitalSource"}
    assert metadata(dataset)["digitalSourceType"] == marked
    assert "digitalSourceType" not in metadata(closed(str(tmp_path / "source"), "source", source_rows(2)))


def test_every_column_has_a_meaning_and_no_meaning_is_of_nothing() -> None:
    assert {name for schema in SCHEMAS.values() for name in schema.names} == set(MEANINGS)
