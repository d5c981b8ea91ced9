"""The ceiling's rows: as many as a generator makes, of the same people, where and how they were asked for."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from manifests.checking.validate import validate
from manifests.format.schema import ALGORITHMIC_MEDIA
from manifests.reading.dataset import Dataset, open_dataset
from pipeline.experiments.benchmark.arms import Arm
from pipeline.experiments.benchmark.drawn import RECIPE, draw_rows, redrawn
from pipeline.experiments.benchmark.gaps import DOMAINS, FEW_IMAGES, POSES, TWO_CAMERAS, Gap
from pipeline.experiments.benchmark.settings import Bench, BenchmarkSettings, Storage
from pipeline.reid.sets import load_sets
from pipeline.sources.toyworld.again import NEWCOMERS
from pipeline.synthesis.people import Person
from tests.conftest import ToySources

PEOPLE = [
    Person(f"{number:032x}", f"{number:064x}", f"{number // 2:04d}", 1 + number % 2, "train", "toy", 0, number)
    for number in range(2, 8)
]


def arm(gap: Gap, drawn: str) -> Arm:
    return next(arm for arm in gap.arms if arm.drawn == drawn)


def test_each_image_by_every_other_camera() -> None:
    rows = list(redrawn("cameras", TWO_CAMERAS, PEOPLE, 0))
    assert [(row.source, row.camera) for row in rows] == [(one, 3 - (one.camera or 0)) for one in PEOPLE]
    assert {row.place for row in rows} == {"market-like"}
    assert len({(row.identity, row.camera, row.draw) for row in rows}) == len(PEOPLE), "no two alike"
    assert len(list(redrawn("cameras", FEW_IMAGES, PEOPLE, 0))) == 5 * len(PEOPLE)


def test_each_image_once_in_the_other_place_and_in_eight_poses() -> None:
    rows = list(redrawn("place", DOMAINS, PEOPLE, 0))
    assert [(row.source, row.identity, row.place) for row in rows] == [
        (one, int(one.identity), "duke-like") for one in PEOPLE
    ]
    assert all(1 <= row.camera <= 8 for row in rows)
    turned = [row.heading for row in redrawn("poses", POSES, PEOPLE[:1], 0)]
    assert turned == [0, 45, 90, 135, 180, 225, 270, 315]


def test_newcomers_are_nobody_and_the_cameras_are_dealt_evenly() -> None:
    rows = list(redrawn("newcomers", FEW_IMAGES, PEOPLE, 12))
    assert {row.source for row in rows} == {None}
    assert min(row.identity for row in rows) >= NEWCOMERS
    assert set(Counter(row.camera for row in rows).values()) == {2}


@pytest.fixture(scope="module")
def bench(toy_sources: ToySources, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    made = Bench(BenchmarkSettings(), Storage(folder, folder), 5, DOMAINS)
    shutil.copytree(toy_sources.market, made.uri("train"))
    return made


@pytest.fixture(scope="module")
def drawn(bench: Bench) -> Dataset:
    return draw_rows(bench, arm(DOMAINS, "place"), "train", ["train"])


def test_rows_say_that_they_were_drawn_and_of_whom(bench: Bench, drawn: Dataset) -> None:
    real = open_dataset(bench.uri("train")).scan().filter(split="train").collect()
    rows = drawn.scan().collect()
    assert rows.height == real.height
    assert set(rows["recipe"]) == {RECIPE}
    assert set(rows["digital_source_type"]) == {ALGORITHMIC_MEDIA}
    content = [sources[0]["sha256"] for sources in rows["sources"]]
    owner = dict(zip(real["image_sha256"], real["identity"], strict=True))
    assert [owner[digest] for digest in content] == rows["identity"].to_list()
    assert set(rows["domain"]) == {"duke-like"}
    assert set(rows["height"]) == {64}


def test_newcomers_have_no_source_and_pass_the_checks(bench: Bench, drawn: Dataset) -> None:
    few = replace(bench, gap=FEW_IMAGES)
    shutil.copytree(bench.uri("train"), few.uri("train"))
    newcomers = draw_rows(
        few, replace(arm(FEW_IMAGES, "newcomers"), mix={"synthetic_per_real": 0.2}), "train", ["train"]
    )
    rows = newcomers.scan().collect()
    assert rows.height == round(0.2 * open_dataset(few.uri("train")).snapshot.rows)
    assert rows["sources"].list.len().sum() == rows["identity"].count() == 0
    assert set(rows["label_rule"]) == {"lsro"}
    assert [validate(one.uri).faults for one in (drawn, newcomers)] == [[], []]


def test_they_train_as_generated_ones_do(bench: Bench, drawn: Dataset) -> None:
    sets = load_sets([bench.uri("train"), drawn.uri], 64, 32)
    assert len(sets.images) == 2 * sets.real_images
    people = sets.images.known_people
    assert sorted(people[: sets.real_images]) == sorted(people[sets.real_images :])
    assert sets.images.targets[sets.real_images :].max() == pytest.approx(0.9 + 0.1 / len(sets.classes))


def test_drawn_again_they_are_the_same_bytes(bench: Bench, drawn: Dataset, tmp_path: Path) -> None:
    assert draw_rows(bench, arm(DOMAINS, "place"), "train", ["train"]).digest() == drawn.digest()
    other = Bench(bench.settings, Storage(tmp_path, tmp_path), 5, DOMAINS)
    shutil.copytree(bench.uri("train"), other.uri("train"))
    assert draw_rows(other, arm(DOMAINS, "place"), "train", ["train"]).digest() == drawn.digest()
