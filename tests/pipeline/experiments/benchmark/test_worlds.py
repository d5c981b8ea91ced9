"""What a gap leaves of a world's images."""

from __future__ import annotations

from collections import Counter

from pipeline.experiments.benchmark.gaps import DOMAINS, FEW_IMAGES, MARKET, POSES, TWO_CAMERAS, ImageSet
from pipeline.experiments.benchmark.worlds import choose
from pipeline.sources.files import SourceFile


def train_files(people: int = 20, cameras: int = 6) -> list[SourceFile]:
    return [
        SourceFile(f"train/{person:04d}_c{camera}.jpg", 1, "train", identity=f"{person:04d}", camera=camera)
        for person in range(1, 2 * people, 2)
        for camera in range(1, cameras + 1)
    ]


def test_few_people_keep_all_their_images() -> None:
    few = ImageSet(MARKET, "train", people=5)
    kept = choose(few, 0, train_files())
    assert Counter(file.identity for file in kept) == {file.identity: 6 for file in kept}
    assert len({file.identity for file in kept}) == 5
    assert kept == choose(few, 0, train_files()), "the seed decides"
    assert kept != choose(few, 1, train_files())


def test_few_images_of_every_person_by_whatever_camera() -> None:
    kept = choose(ImageSet(MARKET, "train", images=3), 0, train_files())
    assert set(Counter(file.identity for file in kept).values()) == {3}
    assert len({file.identity for file in kept}) == 20
    assert len({file.camera for file in kept}) == 6


def test_two_cameras_in_training_and_in_measuring() -> None:
    for name in ("train", "validation", "unlabelled"):
        assert {file.camera for file in choose(TWO_CAMERAS.sets[name], 0, train_files())} == {1, 2}


def test_unlabelled_images_are_of_the_measured_place_and_never_cut() -> None:
    assert choose(DOMAINS.sets["target"], 0, train_files()) == train_files()
    assert DOMAINS.sets["unlabelled"] == DOMAINS.sets["target"] != DOMAINS.sets["train"]
    assert choose(FEW_IMAGES.sets["unlabelled"], 0, train_files()) == train_files()
    assert "target" not in POSES.sets


def test_settings_are_chosen_on_other_people_than_those_reported() -> None:
    people = [f"{number:04d}" for number in range(2, 42, 2)]
    files = [SourceFile(f"query/{one}.jpg", 1, "query", identity=one, camera=1) for one in people]
    nobody = SourceFile("test/0000.jpg", 1, "gallery", role="distractor", camera=1)
    parts = {name: choose(DOMAINS.sets[name], 0, [*files, nobody]) for name in ("validation", "test")}
    found = {name: {file.identity for file in part if file.identity} for name, part in parts.items()}
    assert found["validation"] | found["test"] == set(people)
    assert not found["validation"] & found["test"]
    assert all(nobody in part for part in parts.values())
