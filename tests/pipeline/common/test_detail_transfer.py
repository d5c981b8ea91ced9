"""The amount of detail in an image, and that of another."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.common.detail_transfer import bands_of, transfer_detail
from pipeline.generators.noise import photographic_noise
from pipeline.measures.detail import compare_detail


def textured(seed: int, contrast: float = 60.0) -> NDArray[np.uint8]:
    noise = photographic_noise(np.random.default_rng(seed), 1, (64, 32), 1.25)[0].transpose(1, 2, 0)
    return np.asarray(np.clip(noise * contrast + 128, 0, 255).astype(np.uint8))


def test_an_image_with_its_own_detail_stays() -> None:
    image = textured(0)
    assert np.abs(transfer_detail(image, bands_of(image)).astype(int) - image).max() <= 1


def test_a_sharp_image_becomes_as_blurred_as_another() -> None:
    sharp = np.stack([textured(seed) for seed in range(20)])
    blurred = np.stack([cv2.GaussianBlur(textured(seed + 50, 40), (0, 0), 0.5) for seed in range(20)])
    before = compare_detail(sharp, blurred)
    made = np.stack([transfer_detail(one, bands_of(other)) for one, other in zip(sharp, blurred, strict=True)])
    after = compare_detail(made, blurred)
    assert before.worst > 6
    assert abs(after.worst) < 3
    assert 0.7 < after.sharpness < 1.5 < before.sharpness


def test_a_flat_image_has_no_detail_to_scale() -> None:
    flat = np.full((16, 8, 3), 77, np.uint8)
    np.testing.assert_array_equal(transfer_detail(flat, bands_of(textured(1))), flat)
    assert bands_of(flat).max() == 0
