"""`jobs/train_reid.py` from a manifest to a measured network, and what a user reads when something is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

import jobs.train_reid as job
from manifests.errors import UserError
from manifests.schema import SYNTHETIC_SCHEMA
from manifests.soft_labels import ClassMap, lsr, lsro, one_hot
from manifests.store import DatasetRun, open_dataset
from pipeline.reid.data import load_labelled, stream_people
from pipeline.reid.model import load_reid
from pipeline.reid.retrieval import evaluate_on
from pipeline.settings import parse_settings

if TYPE_CHECKING:
    from tests.conftest import ToySources


def arguments(source: str, output: Path, *more: str) -> list[str]:
    sizes = ["--height", "64", "--width", "32", "--channels", "4", "--batch-size", "4", "--threads", "1"]
    return ["--source", source, "--output", str(output), *sizes, *more]


def run(given: list[str]) -> None:
    assert job.main(parse_settings(job.Settings, given)) == 0


def test_from_a_manifest_to_a_measured_network(
    toy_sources: ToySources, toy_people: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(arguments(toy_sources.market, tmp_path, "--steps", "3", "--eval", toy_sources.market))
    model = load_reid(tmp_path)
    card = json.loads((tmp_path / "reid.json").read_text())
    assert card["sha256"] == model.sha256
    assert card["data"]["source"]["images"] == toy_people
    assert card["data"]["source"]["manifest_sha256"] == open_dataset(toy_sources.market).digest()
    assert card["metrics"]["rank1"] == evaluate_on(model, toy_sources.market).rank1
    assert f"{toy_sources.market}: rank1 " in capsys.readouterr().out
    frame = open_dataset(toy_sources.market).scan().collect()
    trained = frame.filter((frame["split"] == "train") & (frame["role"] == "person"))
    assert model.classes is not None
    assert set(model.classes.identities) == set(trained["identity"])


def test_labels_and_people_are_those_of_the_manifest(toy_sources: ToySources) -> None:
    data = load_labelled(toy_sources.market, 64, 32)
    assert data.classes is not None
    frame = open_dataset(toy_sources.market).scan().collect()
    trained = frame.filter((frame["split"] == "train") & (frame["role"] == "person"))
    assert [data.classes.identities[number] for number in data.targets.argmax(axis=1)] == trained["identity"].to_list()
    assert (data.targets.sum(axis=1) == 1).all()
    people = dict(stream_people(toy_sources.market, ("query", "gallery"), 64, 32))
    gallery = frame.filter(frame["split"] == "gallery")
    for role, number in (("junk", -1), ("distractor", 0)):
        assert (people["gallery"].identities == number).tolist() == (gallery["role"] == role).to_list()
    assert set(people["query"].identities) <= set(people["gallery"].identities)
    assert np.array_equal(people["gallery"].cameras, gallery["camera"].to_numpy())


def test_soft_labels_come_from_the_rows(toy_sources: ToySources, tmp_path: Path) -> None:
    """Three generated rows with a label each of another rule, one of them outside of the training split."""
    picture = open_dataset(toy_sources.market).read(["image"]).column("image")[0].as_py()
    labels = [lsr([1], 3, 0.3), lsro(1, 3), one_hot([2], 3)]
    rows = []
    for number, columns in enumerate(labels):
        row = {name: array[0].as_py() for name, array in columns.items()}
        split = "train" if number < 2 else "query"
        row |= {"sample_id": str(number), "image": picture, "split": split, "subject_keys": ["someone"]}
        row |= dict.fromkeys(("image_sha256", "pixel_sha256", "recipe", "recipe_version"), "0")
        row |= dict.fromkeys(("settings_sha256", "plan_id", "digital_source_type"), "0")
        rows.append({**row, "width": 64, "height": 128, "sources": [], "checkpoint_sha256s": [], "seed": 0, "draw": 0})
    classes = ClassMap(("a", "b", "c"))
    footer = {ClassMap.FOOTER_KEY: classes.to_json()}
    run = DatasetRun.start(str(tmp_path / "made"), "synthetic", "test", {0: 3}, footer=footer)
    run.sink.commit(0, pa.Table.from_pylist(rows, schema=SYNTHETIC_SCHEMA))
    run.close()
    data = load_labelled(run.uri, 64, 32)
    assert data.classes == classes
    assert data.images.shape == (2, 64, 32, 3)
    assert data.targets == pytest.approx(np.array([[0.1, 0.8, 0.1], [1 / 3] * 3]), abs=1e-6)
    assert data.provenance["subjects"] == ["someone"]
    with pytest.raises(UserError, match="over other classes"):
        load_labelled(run.uri, 64, 32, ClassMap(("a", "b", "d")))


def test_mistakes_are_one_line(toy_sources: ToySources, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data set at"):
        run(arguments(str(tmp_path / "nothing"), tmp_path / "out"))
    with pytest.raises(UserError, match="is not among the classes"):
        load_labelled(toy_sources.market, 64, 32, ClassMap(("nobody",)))
    assert not (tmp_path / "out").exists()
