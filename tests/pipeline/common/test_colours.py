"""Colour transfer against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.common.colours import change_widths, jittered, look_of, transfer_colours


def halves(upper: int, lower: int) -> np.ndarray:
    """Two greys, one above the other."""
    image = np.empty((4, 2, 3), np.uint8)
    image[:2], image[2:] = upper, lower
    return image


def test_the_look_of_black_and_white() -> None:
    # L is 0 and 100, greys have no a and b.
    assert look_of(halves(0, 255)) == pytest.approx([50, 0, 0, 50, 0, 0], abs=1e-3)


def test_greys_by_hand() -> None:
    # L = 50 -+ 10: Y = ((L + 16) / 116)^3 is 0.1107 and 0.2812, in sRGB 0.368 and 0.568.
    moved = transfer_colours(halves(0, 255), np.array([50.0, 0, 0, 10, 0, 0]))
    assert np.abs(moved.astype(int) - halves(94, 145)).max() <= 1
    # A flat image has no spread to stretch: it takes the mean. L = 50 is 119.
    assert (transfer_colours(halves(7, 7), np.array([50.0, 0, 0, 30, 0, 0])) == 119).all()


def test_an_image_takes_the_look_of_another() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(90, 130, (16, 8, 3), dtype=np.uint8)
    target = rng.integers(60, 200, (16, 8, 3), dtype=np.uint8) // np.array([1, 1, 2], np.uint8)
    moved = transfer_colours(image, look_of(target))
    # What lies outside of sRGB is clipped, so that the deviations come out a little smaller.
    assert look_of(moved) == pytest.approx(look_of(target), rel=0.06, abs=1.0)
    assert np.abs(transfer_colours(image, look_of(image)).astype(int) - image).max() <= 1


def test_a_jitter_changes_means_by_sums_and_deviations_by_factors() -> None:
    look, widths = np.array([50.0, 1, 2, 10, 4, 4]), np.array([5.0, 1, 1, np.log(2), 0, 1])
    assert jittered(look, widths, np.array([-1.0, 2, 0, 1, 3, 0])) == pytest.approx([45, 3, 2, 20, 4, 4])


def test_widths_are_the_root_mean_square_change() -> None:
    source = np.array([[40.0, 0, 0, 1, 1, 1], [60, 0, 0, 1, 1, 1]])
    target = np.array([[70.0, 3, 0, np.e, 1, 1]])
    # From 40 and 60 to 70: 30 and 10, whose mean square is 500; deviations by their logarithms.
    assert change_widths(source, target) == pytest.approx([np.sqrt(500), 3, 0, 1, 0, 0])
    rng = np.random.default_rng(1)
    one, other = rng.normal(5, 2, (30, 6)) ** 2, rng.normal(3, 1, (20, 6)) ** 2
    pairs = other[None, :, :3] - one[:, None, :3]
    assert change_widths(one, other)[:3] == pytest.approx(np.sqrt((pairs**2).mean(axis=(0, 1))))
