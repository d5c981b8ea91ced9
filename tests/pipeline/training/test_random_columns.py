"""Draws in columns are those that NumPy makes one by one."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.random_columns import first_draws
from pipeline.training.randomness import random_generator

EDGES = [0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1]


@pytest.mark.parametrize("wanted", [0, 1, 7, 8, 9, 40])
@pytest.mark.parametrize("count", ["few", "many", "uneven"])
def test_draws_are_numpys(wanted: int, count: str) -> None:
    rng = np.random.default_rng(wanted)
    keys = np.append(rng.integers(0, 2**63, 200), EDGES)
    # Of a count just above a power of two NumPy gives up nearly half of all draws, and takes the next.
    largest = {"few": wanted + 3, "many": 200_000, "uneven": 2**31 + 9}[count]
    counts = np.maximum(rng.integers(1, largest, len(keys), endpoint=True), max(wanted, 1))
    counts[::2] = largest
    lows = np.arange(wanted)
    alone = [random_generator(key).integers(lows, most) for key, most in zip(keys.tolist(), counts, strict=True)]
    assert np.array_equal(first_draws(keys, lows, counts), alone)
