"""Keypoints of a whole column are judged as those of one row are."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from manifests.format.annotation_values import check_joints, check_places, joints_of, nothing_wrong
from manifests.format.schema import POSE

HEIGHT, WIDTH = 8, 4
"""Of a picture in which a joint may lie from -16 to 24 down and to 20 across."""
FINE = {"x": 3.0, "y": 7.0, "score": 1.0}
JOINTS = {
    "fine": FINE,
    "far, but not too far": {"x": 20.0, "y": -16.0, "score": 0.0},
    "too far down": {**FINE, "y": 24.5},
    "too far across": {**FINE, "x": 20.5},
    "too far left": {**FINE, "x": -16.5},
    "not a number": {**FINE, "x": math.nan},
    "nothing": {**FINE, "y": None},
    "too sure": {**FINE, "score": 1.5},
    "less than unsure": {**FINE, "score": -0.5},
}


def refused(points: np.ndarray) -> bool:
    try:
        check_places(check_joints(points), HEIGHT, WIDTH)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("skipped", [0, 1])
def test_a_column_is_judged_as_its_rows_are(skipped: int) -> None:
    rows = [[FINE] * 16 + [joint] for joint in JOINTS.values()]
    column = pa.chunked_array([pa.array([[FINE] * 5, None, *rows[:4]], POSE), pa.array(rows[4:], POSE)]).slice(skipped)
    points, starts = joints_of(column)
    parts = [points[start:end] for start, end in pairwise(starts)]
    assert [len(part) for part in parts] == [5, 0, *[17] * len(rows)][skipped:]
    sizes = (np.full(len(parts), side) for side in (HEIGHT, WIDTH))
    right = nothing_wrong(points, starts, *sizes)
    assert right.tolist() == [not refused(part) for part in parts]
    assert right.sum() == 2
