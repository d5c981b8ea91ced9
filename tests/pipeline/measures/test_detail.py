"""Detail of generated images beside that of real ones: what blur takes away, and what noise and a grid add."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.measures.detail import BANDS, compare_detail, mean_power, sharpness


def pictures(count: int, seed: int, size: tuple[int, int] = (64, 32)) -> np.ndarray:
    """Noise that falls off with its frequency, as in photographs."""
    rng = np.random.default_rng(seed)
    fall = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])[None])
    fall[0, 0] = 1.0
    made = [np.fft.ifft2(np.fft.fft2(rng.standard_normal(size)) / fall).real for _ in range(count)]
    grey = np.clip(128 + 8 * np.stack(made), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3)


def wave(frequency: float) -> np.ndarray:
    """Stripes of one frequency, cycles a pixel, (1, 64, 32, 3)."""
    rows = 128 + 100 * np.sin(2 * np.pi * frequency * np.arange(64))
    return np.repeat(np.rint(rows)[None, :, None, None], 32, axis=2).repeat(3, axis=3).astype(np.uint8)


def test_two_halves_of_one_kind_are_alike() -> None:
    found = compare_detail(pictures(60, 0), pictures(60, 1))
    assert found.sharpness == pytest.approx(1, abs=0.1)
    assert abs(found.worst) < 0.7


def test_blur_takes_what_is_fine() -> None:
    real = pictures(40, 0)
    found = compare_detail(np.stack([cv2.GaussianBlur(image, (0, 0), 1.0) for image in real]), real)
    assert found.sharpness < 0.1
    # A Gaussian of deviation 1 pixel leaves exp(-(2 pi f)^2) of the power at f.
    middle = [(low + high) / 2 for low, high in BANDS[:5]]
    expected = [-10 * np.log10(np.e) * (2 * np.pi * one) ** 2 for one in middle]
    assert found.spectrum[:5] == pytest.approx(expected, abs=1.0)
    assert found.worst == min(found.spectrum)


def test_noise_and_a_grid_are_seen_where_they_are() -> None:
    real = pictures(40, 0)
    noise = np.random.default_rng(2).normal(0, 30, real.shape[:3])[..., None]
    noisy = compare_detail(np.clip(real + noise, 0, 255).astype(np.uint8), real)
    assert noisy.sharpness > 2
    assert noisy.worst == noisy.spectrum[-1] > 3
    grid = real.astype(int)
    grid[:, ::4] += 12  # a quarter of a cycle a pixel, and half of one
    found = compare_detail(np.clip(grid, 0, 255).astype(np.uint8), real)
    at = next(place for place, (low, high) in enumerate(BANDS) if low <= 0.25 < high)
    assert found.spectrum[at] > max(found.spectrum[at - 2], found.spectrum[at + 2]) + 0.5


@pytest.mark.parametrize("size", [(64, 32), (128, 64)])
@pytest.mark.parametrize(("down", "across"), [(4, None), (None, 4), (2, None), (None, 2), (4, 2), (2, 2)])
def test_a_grid_stands_out(size: tuple[int, int], down: int | None, across: int | None) -> None:
    real, images = pictures(160, 0, size), pictures(160, 1, size)
    lattice = np.zeros(size)
    lattice[:: down or 1, :: across or 1] = 6
    # Of another strength in each image, as where it follows what the image shows.
    strength = np.random.default_rng(3).normal(0, 1, (160, 1, 1, 1))
    grid = np.clip(images + strength * lattice[None, ..., None], 0, 255).astype(np.uint8)
    assert compare_detail(images, real).grid < 0.8
    assert compare_detail(grid, real).grid > 1.4


def test_neither_blur_nor_noise_is_a_grid() -> None:
    real, images = pictures(160, 0), pictures(160, 1)
    noisy = images + np.random.default_rng(2).normal(0, 12, images.shape[:3])[..., None]
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), 0.6) for image in images])
    for made in (np.clip(noisy, 0, 255).astype(np.uint8), blurred):
        assert compare_detail(made, real).grid < 1.0


@pytest.mark.parametrize("place", [0, 4, 7])
def test_a_wave_has_its_power_in_its_band(place: int) -> None:
    power = mean_power(wave(sum(BANDS[place]) / 2))
    assert power.argmax() == place
    assert power[place] > 50 * np.delete(power, [max(place - 1, 0), place, place + 1]).max()


def test_known_sharpness() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    assert sharpness(image) == 0
    image[8, 8] = 100
    # The Laplacian of a point: -4 times it, and once at each of four neighbours; the mean is 0.
    assert sharpness(image) == pytest.approx((400**2 + 4 * 100**2) / 256)


def test_a_flat_set_is_finite_and_other_sizes_are_refused() -> None:
    flat = np.full((3, 64, 32, 3), 90, np.uint8)
    found = compare_detail(flat, pictures(3, 0))
    assert found.sharpness == 0
    assert np.isfinite([*found.spectrum, found.grid]).all()
    with pytest.raises(ValueError, match="of one size"):
        compare_detail(flat, flat[:, :32])
    with pytest.raises(ValueError, match="of one size"):
        compare_detail(flat[:0], flat)
