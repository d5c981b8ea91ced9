"""Greedy choices small enough to be made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.scoring.diversity import choose_diverse, quotas


@pytest.mark.parametrize(
    ("available", "total", "taken"),
    [
        ([5, 1, 3], 6, [3, 1, 2]),
        ([5, 1, 3], 9, [5, 1, 3]),
        ([5, 1, 3], 100, [5, 1, 3]),
        ([2, 2, 2, 2], 3, [1, 1, 1, 0]),
        ([0, 4, 0], 2, [0, 2, 0]),
        ([3, 3], 0, [0, 0]),
    ],
)
def test_groups_share_evenly_what_they_have(available: list[int], total: int, taken: list[int]) -> None:
    assert quotas(np.array(available), total).tolist() == taken


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def test_what_is_furthest_from_all_that_is_there_comes_first() -> None:
    features, alike = at(10, 90, 100, 170), np.ones(4)
    # From 0 degrees: 170 is furthest; then 90, being 80 from 170 and 90 from 0; then 100, whose nearest is 10 away as
    # that of 10 degrees is: the first of equals would be 10 degrees, by a hair of rounding it may be either.
    assert choose_diverse(features, alike, at(0), 2).tolist() == [3, 1]
    assert set(choose_diverse(features, alike, at(0), 9).tolist()) == {0, 1, 2, 3}
    # Without anything there the first is the worthiest, here the first of equals.
    assert choose_diverse(features, alike, at(), 2).tolist() == [0, 3]


def test_worth_outweighs_distance_in_proportion() -> None:
    # (1 - cosine) / 2 is 1/2 at 90 degrees and 1 at 180.
    features, known = at(90, 180), at(0)
    assert choose_diverse(features, np.array([0.9, 0.4]), known, 1).tolist() == [0]
    assert choose_diverse(features, np.array([0.7, 0.4]), known, 1).tolist() == [1]
    assert choose_diverse(features, np.array([0.0, 0.1]), at(180), 1).tolist() == [0]  # a copy adds nothing: the first


def test_nothing_is_chosen_twice() -> None:
    copies = at(45, 45, 45)
    assert sorted(choose_diverse(copies, np.ones(3), at(45), 3).tolist()) == [0, 1, 2]
