"""Noise with the spectrum of photographs."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.generators.noise import photographic_noise


@pytest.mark.parametrize("slope", [0.0, 1.0, 1.25])
def test_it_has_mean_0_variance_1_and_the_asked_slope(slope: float) -> None:
    noise = photographic_noise(np.random.default_rng(0), 400, (64, 32), slope)
    assert noise.shape == (400, 3, 64, 32)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.05
    assert noise.var() == pytest.approx(1, abs=0.05)
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=(0, 1))
    frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(32)[None])
    low, high = (power[np.isclose(frequency, one)].mean() for one in (1 / 8, 1 / 2))
    assert np.log(low / high) / np.log(4) == pytest.approx(2 * slope, abs=0.1)


def test_colours_vary_together_as_in_photographs() -> None:
    noise = photographic_noise(np.random.default_rng(1), 200, (32, 16), 1.25)
    together = np.corrcoef(noise.transpose(1, 0, 2, 3).reshape(3, -1))[np.triu_indices(3, 1)]
    np.testing.assert_allclose(together, 0.7, atol=0.05)


def test_it_follows_from_its_generator() -> None:
    first, second = (photographic_noise(np.random.default_rng(2), 3, (16, 8), 1.0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
