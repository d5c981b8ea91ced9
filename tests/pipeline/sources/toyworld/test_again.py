"""People drawn once more: the same person, in the asked place and turned as asked, by bytes that depend on nothing."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.sources.toyworld import ToyWorldSettings, render_sample
from pipeline.sources.toyworld.again import draw_again

SETTINGS = ToyWorldSettings(identities=4, seed=3)


def test_the_person_of_the_one_place_walks_in_the_other() -> None:
    there = draw_again(SETTINGS, "market-like", 3, "duke-like", 5, 0)
    home = render_sample(SETTINGS, "market-like", 3, 1, 0)
    assert there.person == home.person
    assert there.camera == 5
    of_duke = render_sample(SETTINGS, "duke-like", 3, 5, 0).image.reshape(-1, 3).mean(axis=0)
    of_market = home.image.reshape(-1, 3).mean(axis=0)
    tint = there.image.reshape(-1, 3).mean(axis=0)
    assert tint[2] - tint[0] > of_market[2] - of_market[0], "the other place's light is blue"
    assert np.abs(tint - of_duke).sum() < np.abs(tint - of_market).sum()


@pytest.mark.parametrize(("heading", "view"), [(0, "front"), (90, "side"), (180, "back"), (270, "side")])
def test_they_are_turned_as_asked(heading: float, view: str) -> None:
    sample = draw_again(SETTINGS, "market-like", 1, "market-like", 2, 0, heading)
    assert (sample.heading_deg - heading + 180) % 360 == pytest.approx(180, abs=8)
    assert sample.view == view


def test_the_same_arguments_give_the_same_bytes_whatever_was_drawn_before() -> None:
    first = draw_again(SETTINGS, "market-like", 1, "market-like", 2, 7)
    draw_again(SETTINGS, "market-like", 2, "market-like", 2, 7)
    assert draw_again(SETTINGS, "market-like", 1, "market-like", 2, 7).jpeg == first.jpeg
    others = [draw_again(SETTINGS, "market-like", 1, "market-like", 2, draw).jpeg for draw in (6, 8)]
    others += [render_sample(SETTINGS, "market-like", 1, 2, 7).jpeg]
    assert first.jpeg not in others
