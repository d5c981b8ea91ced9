"""What a device counts are the numbers of the processor's OpenCV, and its scores the same to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.measures.images import PairCounts, PersonScores, style_features
from pipeline.measures.on_device import count_pairs


@pytest.mark.parametrize("size", [(256, 128), (60, 36), (4, 4)])
def test_scores_are_those_of_the_processor_to_the_last_bit(size: tuple[int, int]) -> None:
    draw = np.random.default_rng(0)
    sources, made = draw.integers(0, 256, (2, 6, *size, 3), dtype=np.uint8)
    masks = draw.random((6, *size)) < 0.5
    made[1], sources[2] = sources[1], 7  # unchanged; flat
    masks[3], masks[4] = False, True
    counts = PairCounts(count_pairs(*map(torch.from_numpy, (sources, made, masks))).numpy(), size)
    for row, pair in enumerate(zip(sources, made, masks, strict=True)):
        assert counts.person(row) == PersonScores.of(*pair)
    for found, images in zip(counts.styles(), (sources, made), strict=True):
        assert np.array_equal(found, style_features(images))
    some = counts.taken(np.array([4, 0]))
    assert some.person(0) == counts.person(4)
    assert np.array_equal(some.styles()[1], style_features(made[[4, 0]]))
