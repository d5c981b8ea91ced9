"""Drawings of poses: they follow the joints, leave out what was not seen, and tell left from right."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.common.skeletons import LIMBS, draw_limbs, draw_skeleton
from pipeline.training.data import Crop, DomainData, crop_together

HEIGHT, WIDTH = 128, 64
# x and y of COCO's 17 joints of somebody who faces us, in pixels.
STANDING = np.array(
    [
        *((32, 18), (35, 15), (29, 15), (39, 17), (25, 17), (43, 31), (21, 31), (48, 49), (17, 49), (49, 66)),
        *((14, 65), (38, 64), (26, 64), (40, 90), (25, 90), (41, 115), (24, 115)),
    ],
    np.float32,
)


def standing() -> NDArray[np.float32]:
    return np.column_stack([STANDING, np.ones(17, np.float32)])


def hues(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Hue of each lit pixel, 0 to 179."""
    lit = picture.max(axis=2) > 128
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[lit][:, 0], np.uint8)


def test_limbs_run_from_joint_to_joint_in_colours_of_their_own() -> None:
    colors = [color for *_, color in LIMBS]
    assert len(set(colors)) == len(LIMBS) == 19
    assert len({frozenset(limb[:2]) for limb in LIMBS}) == 19
    for first, second, color in LIMBS:
        points = np.zeros((17, 3), np.float32)
        points[[first, second]] = standing()[[first, second]]
        picture = draw_skeleton(points, HEIGHT, WIDTH)
        # Joints of the face lie within a line's width; the middle of a limb is its own colour in full.
        middle = STANDING[[first, second]].mean(axis=0)
        x, y = (int(place) for place in middle)
        assert np.abs(picture[y, x].astype(int) - color).max() < 60
        rows, columns = np.nonzero(picture.max(axis=2))
        low, high = STANDING[[first, second]].min(axis=0) - 3, STANDING[[first, second]].max(axis=0) + 3
        assert (low <= (columns.min(), rows.min())).all()
        assert (high >= (columns.max(), rows.max())).all()


def test_unseen_joints_take_their_limbs_along() -> None:
    points = standing()
    points[9, 2] = 0.29  # left wrist: the only limb to it is the forearm
    without = draw_skeleton(points, HEIGHT, WIDTH)
    changed = np.argwhere((without != draw_skeleton(standing(), HEIGHT, WIDTH)).any(axis=2))
    assert len(changed)
    assert (changed.min(axis=0) >= (45, 45)).all()
    assert (changed.max(axis=0) <= (70, 53)).all()
    points[:, 2] = 0
    assert not draw_skeleton(points, HEIGHT, WIDTH).any()
    assert draw_skeleton(points, HEIGHT, WIDTH, min_score=0).any()


def test_lines_widen_with_the_picture() -> None:
    shares = []
    for times in (2, 4):
        points = standing() * np.array([times, times, 1], np.float32)
        picture = draw_skeleton(points, times * HEIGHT, times * WIDTH)
        assert picture.shape == (times * HEIGHT, times * WIDTH, 3)
        assert picture.dtype == np.uint8
        assert len(np.unique(picture)) > 50, "edges are smooth"
        shares.append((picture.max(axis=2) > 128).mean())
    assert shares[1] == pytest.approx(shares[0], rel=0.15)


def test_left_stays_cold_when_the_person_is_mirrored() -> None:
    points = standing()
    left = points.copy()
    left[[2, 4, 6, 8, 10, 12, 14, 16], 2] = 0
    right = points.copy()
    right[[1, 3, 5, 7, 9, 11, 13, 15], 2] = 0
    assert (hues(draw_skeleton(left, HEIGHT, WIDTH)) > 75).all()
    assert ((hues(draw_skeleton(right, HEIGHT, WIDTH)) + 30) % 180 < 70).all()
    data = DomainData(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8), keypoints=points[None])
    moved = crop_together(data, [Crop(0, 0, True)], HEIGHT, WIDTH).keypoints
    assert moved is not None
    mirrored = draw_skeleton(moved[0], HEIGHT, WIDTH)
    back = draw_skeleton(points, HEIGHT, WIDTH)[:, ::-1]
    lit, lit_back = mirrored.max(axis=2) > 128, back.max(axis=2) > 128
    assert (lit == lit_back).mean() > 0.93, "the same lines, within a pixel"
    arms = np.s_[45:60, 45:]
    assert np.abs(mirrored[arms].astype(int) - back[arms]).max() > 150, "in other colours"


def test_joints_far_outside_are_drawn_as_far_as_they_can_be_seen() -> None:
    points = standing()
    points[15] = (1e7, -1e7, 1)
    assert draw_skeleton(points, HEIGHT, WIDTH).any()


def test_limbs_are_drawn_onto_pictures() -> None:
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    drawn = draw_limbs(picture, standing(), 2)
    assert drawn is picture
    assert (drawn == 90).all(axis=2).mean() > 0.5
    assert (drawn != 90).any()
