"""The scores say what their names say, on pictures whose answer is known."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from pipeline.measures.images import (
    PersonScores,
    StyleStatistics,
    masked_change,
    peak_signal_to_noise,
    pose_error,
    structure_similarity,
    style_features,
    style_shifts,
)


def noise(seed: int, low: int = 0, high: int = 256) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(low, high, (16, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (64, 128), interpolation=cv2.INTER_LINEAR)


def test_change_is_counted_inside_the_mask_only() -> None:
    image = noise(0, 0, 200)
    mask = np.zeros((128, 64), bool)
    mask[32:96, 16:48] = True
    changed = image.copy()
    changed[mask] += 51
    assert masked_change(image, changed, mask) == pytest.approx(0.2)
    assert masked_change(image, changed, ~mask) == 0.0
    assert masked_change(image, changed, np.zeros_like(mask)) is None


@pytest.mark.parametrize("shown", [1, 20, 128])
@pytest.mark.parametrize("size", [(256, 128), (60, 36)])
def test_scores_are_those_of_their_formulas_to_the_last_bit(size: tuple[int, int], shown: int) -> None:
    """Rows of one plan must be the same wherever they were made; people may stand at the edge of the image."""
    height, width = size
    source, generated = (cv2.resize(noise(seed), (width, height)) for seed in (3, 4))
    mask = cv2.resize(noise(5), (width, height))[:, :, 0] > 128
    mask[:, shown:] = False
    difference = np.abs(source[mask].astype(np.int16) - generated[mask].astype(np.int16))
    assert masked_change(source, generated, mask) == float(difference.mean() / 255.0)
    slopes = []
    for image in (source, generated):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        both = [cv2.Sobel(grey, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1))]
        slopes.append(np.stack(both, axis=-1)[mask].ravel().astype(np.int64))  # whole numbers, whose sums are exact
    first, second = slopes
    norm = math.sqrt(int(first @ first) * int(second @ second))
    assert structure_similarity(source, generated, mask) == int(first @ second) / norm
    one_by_one = [measure(source, generated, mask) for measure in (masked_change, structure_similarity)]
    assert PersonScores.of(source, generated, mask) == (*one_by_one, masked_change(source, generated, ~mask))
    nobody = np.zeros_like(mask)
    assert PersonScores.of(source, generated, nobody)[:2] == (None, None)


def test_structure_survives_a_change_of_light_and_not_of_shape() -> None:
    image, mask = noise(1, 40, 200), np.ones((128, 64), bool)
    darker = (image * 0.5 + 20).astype(np.uint8)
    same = structure_similarity(image, darker, mask)
    other = structure_similarity(image, noise(2), mask)
    assert same is not None
    assert other is not None
    assert same > 0.95
    assert abs(other) < 0.3
    assert structure_similarity(np.full_like(image, 9), image, mask) is None


def test_style_features_are_cielab() -> None:
    both = np.stack([np.full((8, 8, 3), 255, np.uint8), np.full((8, 8, 3), (0, 0, 255), np.uint8)])
    white, blue = style_features(both)
    assert white == pytest.approx([100, 0, 0, 0, 0, 0], abs=0.5)
    assert blue[:3] == pytest.approx([32.3, 79.2, -107.9], abs=1.0)


def test_style_shift_is_one_at_the_targets_centre_and_zero_where_it_began() -> None:
    target = StyleStatistics.of([noise(seed, 0, 80) for seed in range(20)])
    far, near, nearer = style_features(np.stack([noise(99, 120, 256), noise(51, 0, 80), noise(50, 0, 80)]))
    unmoved, there, away = style_shifts(np.stack([far, far, near]), np.stack([far, nearer, far]), target)
    assert unmoved == 0.0
    assert there > 0.5
    assert away < 0
    with pytest.raises(ValueError, match="at least one"):
        StyleStatistics.of([])


def test_pose_error_is_a_share_of_the_height_over_the_joints_that_were_asked_for() -> None:
    asked = np.zeros((17, 3), np.float32)
    asked[:4, 2] = 1
    found = asked.copy()
    found[:2, 0] = 10  # two of four joints are ten pixels off
    found[5:, :2] = 1000
    found[:, 2] = 0  # unsure of all of them
    assert pose_error(asked, found, 100) == pytest.approx(0.05)
    assert pose_error(asked, asked, 100) == 0
    assert pose_error(np.zeros((17, 3), np.float32), found, 100) is None


def test_a_pose_found_nowhere_has_no_error() -> None:
    asked, found = np.ones((17, 3), np.float32), np.ones((17, 3), np.float32)
    assert pose_error(asked, found, 100) == 0
    found[4, 0] = np.nan
    assert pose_error(asked, found, 100) is None


def test_peak_signal_to_noise() -> None:
    image = np.full((4, 2, 3), 100, np.uint8)
    assert peak_signal_to_noise(image, image) == np.inf
    assert peak_signal_to_noise(image, image + np.uint8(1)) == pytest.approx(48.1308, abs=1e-4)
    assert peak_signal_to_noise(image, image - np.uint8(10)) == pytest.approx(28.1308, abs=1e-4)
    assert peak_signal_to_noise(image, image[:2]) == -np.inf
    stacks = np.stack([image, image])
    assert peak_signal_to_noise(stacks, stacks + np.uint8(1)) == pytest.approx(48.1308, abs=1e-4)
