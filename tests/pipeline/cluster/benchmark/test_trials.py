"""Trainings of single steps on a few drawn people: what is recorded of them, and what is done once."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from pipeline.cluster.benchmark.images import MADE, make_images, score_images, training_images
from pipeline.cluster.benchmark.nodes import benchmark_records
from pipeline.cluster.benchmark.trials import reid_steps, try_arm
from pipeline.experiments.benchmark.arms import BASELINE, ONE_REAL, TWO_REAL
from pipeline.experiments.benchmark.gaps import DOMAINS, POSES
from pipeline.experiments.benchmark.records import NORMS, ArmRecord
from pipeline.experiments.benchmark.settings import Bench, BenchmarkSettings, Storage
from pipeline.reid.features import embed_people
from pipeline.reid.fusion import unit_rows
from pipeline.reid.model import load_reid
from pipeline.reid.retrieval import RetrievalSettings, measure_on
from pipeline.reid.sets import load_sets
from tests.conftest import ToySources

DRAWN = next(arm for arm in DOMAINS.arms if arm.drawn)
BY_MAX, BY_MEAN, LIGHTLY = (arm for arm in POSES.arms if arm.drawn and not arm.trains)
WEIGHED = replace(DRAWN, train_on="both").varied("weigh_by=reliability")
GAP = replace(DOMAINS, arms=(DRAWN, ONE_REAL, TWO_REAL, BY_MAX, BY_MEAN, LIGHTLY, WEIGHED))


@pytest.fixture(scope="module")
def bench(toy_sources: ToySources, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """All trained and measured."""
    folder = tmp_path_factory.mktemp("bench")
    bench = Bench(BenchmarkSettings(reid_epochs=1, judge_steps=2), Storage(folder, folder), 5, GAP)
    for name in ("train", "validation", "test"):
        shutil.copytree(toy_sources.market, bench.uri(name))
    shutil.copytree(toy_sources.duke, bench.uri("target"))
    try_arm(bench, BASELINE, 0)
    make_images(bench, DRAWN)
    try_arm(bench, DRAWN, 0)
    for arm in (ONE_REAL, TWO_REAL):
        try_arm(bench, arm, 0)
    make_images(bench, BY_MAX, "validation")
    shutil.copytree(bench.images_folder(BY_MAX) / "validation", bench.images_folder(BY_MAX) / "test")
    for arm in (BY_MAX, BY_MEAN, LIGHTLY):
        try_arm(bench, arm, 0)
    score_images(bench, WEIGHED)
    try_arm(bench, WEIGHED, 0)
    return bench


@pytest.fixture(scope="module")
def records(bench: Bench) -> dict[str, ArmRecord]:
    return {record.arm: record for record in benchmark_records([bench], 2)}


def test_each_network_is_measured_on_both_parts_in_both_norms(records: dict[str, ArmRecord]) -> None:
    for record in records.values():
        assert [(one.norm, one.part) for one in record.measured] == [
            (norm, part) for norm in NORMS for part in ("validation", "test")
        ]
        for one in record.measured:
            assert one.figures["rank1"] == pytest.approx(np.mean(one.rank1))
            assert one.figures["mean_ap"] == pytest.approx(np.mean(one.mean_ap), abs=1e-5)
            assert one.figures["queries"] == len(one.people)
    trained, adapted = (record.measured[place] for record in [records["baseline"]] for place in (0, 2))
    assert trained.mean_ap != adapted.mean_ap


def test_what_was_trained_on_and_held_against(bench: Bench, records: dict[str, ArmRecord]) -> None:
    train = open_dataset(bench.uri("train"))
    real = train.snapshot.rows
    people = train.scan().filter(split="train", role="person").collect().height
    assert records["baseline"].images == {"real": real, "synthetic": 0}
    assert records[DRAWN.name].images == {"real": 0, "synthetic": people}
    assert records["two-real-networks"].images == {"real": real, "synthetic": 0}
    against = {name: record.against for name, record in records.items()}
    assert against["baseline"] is None
    assert against["two-real-networks"] == against[DRAWN.name] == against[BY_MEAN.name] == "baseline"
    assert against[BY_MAX.name] == "one-real-network"
    assert records[BY_MAX.name].images == records["baseline"].images, "nothing else was trained"
    assert records[BY_MAX.name].generates
    drawn = records[DRAWN.name]
    assert drawn.recognised is not None
    assert drawn.moved is not None
    assert 0 <= drawn.recognised <= 1
    assert 0 <= drawn.moved <= 1
    assert (records["baseline"].recognised, records["baseline"].moved) == (None, None)


def test_two_real_networks_are_fused_by_the_largest(bench: Bench, records: dict[str, ArmRecord]) -> None:
    first, second = (load_reid(bench.training_folder(arm, 0) / "reid") for arm in (BASELINE, TWO_REAL))
    assert first.sha256 != second.sha256, "of different seeds"
    one, other = (embed_people(bench.uri("test"), model, "pooled") for model in (first, second))
    query, gallery = (
        unit_rows(np.maximum(one[split].features, other[split].features)) for split in ("query", "gallery")
    )
    same_camera = one["query"].cameras[:, None] == one["gallery"].cameras
    same_person = one["query"].identities[:, None] == one["gallery"].identities
    likeness = np.where((same_camera & same_person) | (one["gallery"].identities == -1), -1, query @ gallery.T)
    hits = same_person[np.arange(len(query)), likeness.argmax(axis=1)]
    answered = (same_person & ~same_camera).any(axis=1)
    assert records["two-real-networks"].measured[1].rank1 == hits[answered].astype(int).tolist()


def test_one_network_sees_an_image_and_what_was_generated_of_it(bench: Bench, records: dict[str, ArmRecord]) -> None:
    uri, poses = (bench.uri("test"), str(bench.images_folder(BY_MAX) / "test"))
    model = load_reid(bench.training_folder(BASELINE, 0) / "reid")
    for arm in (BY_MAX, BY_MEAN, LIGHTLY):
        found = measure_on(uri, model, RetrievalSettings(poses=poses, fusion=arm.fusion, pose_weight=arm.pose_weight))
        assert found.without_poses == 0
        assert records[arm.name].measured[1].figures == found.retrieval.as_dict()
        control = records[records[arm.name].against or ""]
        assert control.measured[1].figures == found.controls["one_network"].as_dict()
        assert not (bench.training_folder(arm, 0) / "reid").exists(), "no network of its own"


def test_rows_are_weighed_by_their_reliability(bench: Bench, records: dict[str, ArmRecord]) -> None:
    scored = open_dataset(training_images(bench, WEIGHED))
    reliability = scored.scan().select(pl.col("quality").struct.field("reliability")).collect().to_series()
    assert not reliability.has_nulls()
    assert reliability.n_unique() > 1
    weights = load_sets([bench.uri("train"), scored.uri], 64, 32, weigh_by="reliability").images.weights
    assert weights is not None
    assert weights[-scored.snapshot.rows :] == pytest.approx(reliability / reliability.mean(), rel=1e-4)
    record = records[WEIGHED.name]
    assert record.images["synthetic"] == scored.snapshot.rows
    assert record.identity["arm"]["mix"]["weigh_by"] == "reliability"
    written = {path: path.stat().st_mtime_ns for path in Path(scored.uri).rglob("*") if path.is_file()}
    assert score_images(bench, WEIGHED).startswith("reliability 0.")
    assert {path: path.stat().st_mtime_ns for path in Path(scored.uri).rglob("*") if path.is_file()} == written


def test_what_is_recorded_is_not_done_again(bench: Bench, records: dict[str, ArmRecord]) -> None:
    folder = bench.training_folder(BASELINE, 0)
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    made = (bench.images_folder(DRAWN) / MADE).stat().st_mtime_ns
    assert "as trained" in try_arm(bench, BASELINE, 0)
    assert make_images(bench, DRAWN).startswith(f"{records[DRAWN.name].images['synthetic']} images, ")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == written
    assert (bench.images_folder(DRAWN) / MADE).stat().st_mtime_ns == made
    assert not (folder / "reid" / "checkpoints").exists(), "what a finished training needs no more"


def test_other_settings_are_refused(bench: Bench) -> None:
    other = replace(bench, settings=BenchmarkSettings(reid_epochs=2, judge_steps=2))
    assert reid_steps(other) == round(2 * open_dataset(bench.uri("train")).snapshot.rows / 32)
    with pytest.raises(UserError, match=r"record\.json was measured with other settings: choose another --output"):
        try_arm(other, BASELINE, 0)
    with pytest.raises(UserError, match=r"made\.json was made with other settings: choose another --output"):
        make_images(other, DRAWN)


def test_elsewhere_it_comes_out_the_same(bench: Bench, tmp_path: Path) -> None:
    again = replace(bench, storage=Storage(tmp_path, tmp_path))
    for name in ("train", "target", "validation", "test"):
        shutil.copytree(bench.uri(name), again.uri(name))
    try_arm(again, BASELINE, 0)
    first, second = (one.training_folder(BASELINE, 0) for one in (bench, again))
    assert (first / "record.json").read_bytes() == (second / "record.json").read_bytes()
