"""Measures of a transfer on pictures whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.experiments.transfer_quality import (
    PlaceJudge,
    hide_people,
    measure_transfer,
    place_colors,
    target_share,
    train_judge,
)
from pipeline.training.data import DomainData

HEIGHT, WIDTH = 32, 16


def domain(place: tuple[int, int, int], seed: int, count: int = 24) -> DomainData:
    """A noisy place of one colour, of varying exposure, with a person of any colour in the middle."""
    rng = np.random.Generator(np.random.Philox(seed))
    images = rng.normal(0, 12, (count, HEIGHT, WIDTH, 3)) + np.array(place) * rng.uniform(0.7, 1.3, (count, 1, 1, 1))
    masks = np.zeros((count, HEIGHT, WIDTH), bool)
    masks[:, 6:26, 4:12] = True
    images[masks] = rng.integers(0, 256, 3)
    return DomainData(np.clip(images, 0, 255).astype(np.uint8), masks)


@pytest.fixture(scope="module")
def world() -> tuple[DomainData, DomainData, PlaceJudge]:
    source, target = domain((160, 120, 60), 0), domain((50, 60, 90), 1)
    return source, target, train_judge(source, target, steps=60)


def repainted(source: DomainData, target: DomainData, person: bool) -> NDArray[np.uint8]:
    """The target's places behind the source's people, or the people replaced as well."""
    assert source.masks is not None
    return target.images if person else np.where(source.masks[..., None], source.images, target.images)


def test_judge_tells_places_apart_and_sees_no_people(world: tuple[DomainData, DomainData, PlaceJudge]) -> None:
    _, _, judge = world
    fresh = domain((160, 120, 60), 7), domain((50, 60, 90), 8)
    assert target_share(judge, hide_people(fresh[0])) < 0.1
    assert target_share(judge, hide_people(fresh[1])) > 0.9
    assert fresh[0].masks is not None
    assert (hide_people(fresh[0])[fresh[0].masks] == 127).all()


def test_nothing_changed(world: tuple[DomainData, DomainData, PlaceJudge]) -> None:
    source, target, judge = world
    quality = measure_transfer(source, source.images, target, judge)
    assert quality.foreground_change == quality.background_change == 0
    assert quality.foreground_structure == pytest.approx(1)
    assert quality.judge_move == quality.color_move == 0
    assert quality.target_share < 0.1


def test_place_moved_and_person_kept(world: tuple[DomainData, DomainData, PlaceJudge]) -> None:
    source, target, judge = world
    quality = measure_transfer(source, repainted(source, target, person=False), target, judge)
    assert quality.foreground_change == 0
    assert quality.background_change > 0.1
    assert quality.target_share > 0.9
    assert quality.judge_move == pytest.approx(1, abs=1e-3)
    assert quality.color_move == pytest.approx(1, abs=1e-3)


def test_person_changed_too(world: tuple[DomainData, DomainData, PlaceJudge]) -> None:
    source, target, judge = world
    quality = measure_transfer(source, repainted(source, target, person=True), target, judge)
    assert quality.foreground_change > 0.1


def test_place_colors_leave_the_person_out() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[4:20, 4:12] = True
    repainted_person = image.copy()
    repainted_person[mask] = (255, 0, 0)
    np.testing.assert_allclose(place_colors(image, mask), place_colors(repainted_person, mask))
    assert place_colors(image, mask)[:3] == pytest.approx([53.6, 0, 0], abs=0.5)
    assert np.isfinite(place_colors(image, ~np.zeros_like(mask))).all()


def test_masks_are_needed(world: tuple[DomainData, DomainData, PlaceJudge]) -> None:
    source, target, judge = world
    with pytest.raises(ValueError, match="needs masks"):
        measure_transfer(DomainData(source.images), source.images, target, judge)
