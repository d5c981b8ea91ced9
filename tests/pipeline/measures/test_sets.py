"""Measures of generators on sets whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.measures.sets import (
    camera_accuracy,
    coverage,
    diversity,
    frechet_distance,
    kernel_distance,
    measure_generation,
    perceptual_distances,
    train_camera_classifier,
)
from pipeline.reid.model import ReidModel, as_model
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.training.data import DomainData


@pytest.fixture(scope="module")
def model() -> ReidModel:
    """Random weights: a random projection is enough to tell noise from stripes."""
    return as_model(build_network(NetworkSettings(channels=4), 3, seed=0), 32, 16)


def noise(seed: int, rows: int = 80) -> np.ndarray:
    """Images that differ in colour and grain."""
    rng = np.random.Generator(np.random.Philox(seed))
    base = rng.integers(0, 200, (rows, 1, 1, 3))
    return (base + rng.integers(0, 56, (rows, 32, 16, 3))).astype(np.uint8)


def test_frechet_distance_of_known_gaussians() -> None:
    rng = np.random.Generator(np.random.Philox(0))
    first = rng.normal(size=(500, 3))
    # Whitened exactly, so that the distances below hold without sampling error.
    first -= first.mean(axis=0)
    first = np.linalg.solve(np.linalg.cholesky(np.cov(first, rowvar=False)), first.T).T
    deviations, shift = np.array([2.0, 0.5, 3.0]), np.array([1.0, -2.0, 0.5])
    expected = (shift**2).sum() + ((deviations - 1) ** 2).sum()
    assert frechet_distance(first, first * deviations + shift) == pytest.approx(expected, abs=1e-6)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)


def test_kernel_distance_by_hand() -> None:
    first, second = np.array([[1.0], [2.0]], np.float32), np.array([[0.0], [1.0]], np.float32)
    # k(x, y) = (x y + 1)^3; within: k(1, 2) = 27 and k(0, 1) = 1; across: 1, 1, 8, 27 -> mean 9.25.
    assert kernel_distance(first, second) == pytest.approx(27 + 1 - 2 * 9.25)


def test_perceptual_distance_is_none_to_itself_and_grows(model: ReidModel) -> None:
    images = noise(1, 6)
    assert perceptual_distances(model, images, images) == pytest.approx(np.zeros(6), abs=1e-6)
    near = np.clip(images.astype(int) + 4, 0, 255).astype(np.uint8)
    far = 255 - images
    assert (perceptual_distances(model, images, near) < perceptual_distances(model, images, far)).all()
    assert np.allclose(perceptual_distances(model, images, far), perceptual_distances(model, far, images), atol=1e-6)


def test_diversity_of_one_image_over_and_over_is_nothing(model: ReidModel) -> None:
    images = noise(2, 20)
    assert diversity(model, np.repeat(images[:1], 20, axis=0)) == pytest.approx(0, abs=1e-6)
    assert diversity(model, images) > 0.01
    with pytest.raises(ValueError, match="at least two"):
        diversity(model, images[:1])


def test_coverage_by_hand() -> None:
    real = np.array([[0.0], [1.0], [3.0], [10.0]], np.float32)
    # To the nearest other real one: 1, 1, 2, 7.
    made = np.array([[1.9], [3.5]], np.float32)
    assert coverage(real, made, neighbours=1) == 0.75
    assert coverage(real, made[:1], neighbours=1) == 0.5
    assert coverage(real, made[:1] - 100, neighbours=1) == 0
    with pytest.raises(ValueError, match="more than 4"):
        coverage(real, made, neighbours=4)


def test_generation_is_held_against_a_real_floor(model: ReidModel) -> None:
    real = noise(3, 160)
    alike = measure_generation(model, noise(4), real)
    assert alike.images == 80
    other = measure_generation(model, 255 - noise(4) // 4, real)
    assert other.real_fid == alike.real_fid
    assert other.fid > 5 * alike.fid
    assert other.fid > 5 * other.real_fid
    assert other.kid > 3 * abs(other.real_kid)
    collapsed = measure_generation(model, np.repeat(noise(4)[:1], 80, axis=0), real)
    assert collapsed.diversity < 0.1 * collapsed.real_diversity
    few = measure_generation(model, np.repeat(noise(4)[:4], 20, axis=0), real)
    assert few.diversity > 0.01
    assert few.coverage < 0.5 * few.real_coverage
    assert alike.coverage > 0.8 * alike.real_coverage
    assert measure_generation(model, noise(4), real) == alike


def test_camera_classifier_tells_tints_and_leaves_unknown_cameras_out() -> None:
    def seen(seed: int, rows: int) -> DomainData:
        images = noise(seed, rows) // 2
        cameras = np.array([(2, 11, -1)[row % 3] for row in range(rows)], np.int64)
        # Strong tints: over five seeds, in either precision, at least 39 of 40 are named rightly.
        images[cameras == 2, ..., 0] += 110
        images[cameras == 11, ..., 2] += 110
        return DomainData(images, cameras=cameras)

    classifier = train_camera_classifier(seen(0, 60), seed=1, steps=40, height=32, width=32)
    assert classifier.cameras == (2, 11)
    held_out = seen(5, 60)
    assert held_out.cameras is not None
    known = held_out.take(np.flatnonzero(held_out.cameras >= 0))
    assert known.cameras is not None
    assert camera_accuracy(classifier, known.images, known.cameras) > 0.9
    swapped = np.where(known.cameras == 2, 11, 2)
    assert camera_accuracy(classifier, known.images, swapped) < 0.1
    with pytest.raises(ValueError, match="two cameras"):
        train_camera_classifier(DomainData(held_out.images))


def test_too_few_features_or_not_finite_ones_have_no_distance(model: ReidModel) -> None:
    fine, broken = np.eye(3, dtype=np.float32), np.full((3, 3), np.nan, np.float32)
    for distance in (frechet_distance, kernel_distance):
        with pytest.raises(ValueError, match="3 of 3 features are not finite"):
            distance(fine, broken)
        with pytest.raises(ValueError, match=r"two features of each set, got \[1, 3\]"):
            distance(fine[:1], fine)
    with pytest.raises(ValueError, match="features are not finite"):
        coverage(np.eye(8, dtype=np.float32), broken[:, [0] * 8])
    with pytest.raises(ValueError, match="6 generated and 12 real images are needed, got 6 and 11"):
        measure_generation(model, noise(0, 6), noise(1, 11))
