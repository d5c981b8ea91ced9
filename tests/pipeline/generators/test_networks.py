"""Shapes, sizes and purity of the networks; the pool of past fakes."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pipeline.generators.networks.blocks import (
    HistoryPool,
    InstanceNorm,
    PixelNorm,
    Upsampling,
    frozen,
    initialize,
    upsample,
)
from pipeline.generators.networks.dcgan import doubling
from pipeline.generators.networks.discriminators import (
    PatchDiscriminator,
    patch_field,
    patch_layers,
    smallest_side,
)
from pipeline.generators.networks.generators import ResnetGenerator

WAYS: tuple[Upsampling, ...] = get_args(Upsampling)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_generator_has_the_published_size() -> None:
    assert parameters(ResnetGenerator(width=64, blocks=9)) == 11_378_179


def test_discriminator_has_the_published_size() -> None:
    judge = PatchDiscriminator(64)
    assert parameters(judge) == 2_764_737
    assert judge(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 30, 30)
    assert judge(torch.zeros(1, 3, 128, 64)).shape == (1, 1, 14, 6)


@pytest.mark.parametrize(("layers", "pixels"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_what_a_score_of_the_discriminator_sees(layers: int, pixels: int) -> None:
    judge = PatchDiscriminator(4, layers)
    field, step = 1, 1
    for layer in judge.layers:
        if isinstance(layer, nn.Conv2d):
            field += (layer.kernel_size[0] - 1) * step
            step *= layer.stride[0]
    assert field == patch_field(layers) == pixels
    side = smallest_side(layers)
    assert judge(torch.zeros(1, 3, side, side)).shape == (1, 1, 1, 1)
    with pytest.raises(RuntimeError, match="Kernel size"):
        judge(torch.zeros(1, 3, side - 1, side))


@pytest.mark.parametrize(
    ("size", "layers"),
    [
        ((256, 128), 3),
        ((128, 64), 3),
        ((64, 32), 2),
        ((32, 16), 1),
        ((256, 256), 3),
        ((64, 64), 2),
        ((105, 64), 3),
        ((104, 64), 2),
        ((256, 20), 2),
        ((16, 16), 1),
    ],
)
def test_a_critic_of_patches_at_any_size(size: tuple[int, int], layers: int) -> None:
    assert patch_layers(size) == layers
    assert PatchDiscriminator(4, layers)(torch.zeros(1, 3, *size)).numel() >= 1


@pytest.mark.parametrize("upsampling", WAYS)
@pytest.mark.parametrize("size", [(128, 64), (20, 36)])
def test_generator_keeps_size_and_range(upsampling: Upsampling, size: tuple[int, int]) -> None:
    network = initialize(ResnetGenerator(8, 2, upsampling), torch.Generator().manual_seed(0), deviation=0.5)
    made = network(torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1)
    assert made.shape == (2, 3, *size)
    assert made.abs().max() <= 1
    assert made.std() > 0.05


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("how", WAYS)
def test_what_repeats_every_two_pixels_only_the_transposed_convolution_makes(how: Upsampling, side: int) -> None:
    layer = initialize(upsample(4, 5, how) if side == 3 else doubling(4, 5, how), torch.Generator().manual_seed(0), 0.5)
    made = layer(torch.ones(1, 4, 12, 8))
    assert made.shape == (1, 5, 24, 16)
    inside = made[:, :, 4:-4, 4:-4]
    varies = (inside - inside[:, :, :1, :1]).abs().max()
    assert (varies < 1e-5) == (how != "transposed")
    assert made.std() > 0


def test_without_a_skip_brightness_and_contrast_are_not_seen() -> None:
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) - 0.5
    tint = torch.tensor([0.1, -0.2, 0.3]).view(1, 3, 1, 1)
    plain, skipping = (
        initialize(ResnetGenerator(8, 1, skip=skip), torch.Generator().manual_seed(0), deviation=0.05)
        for skip in (False, True)
    )
    torch.testing.assert_close(plain(images), plain(0.6 * images + tint), atol=0.02, rtol=0)
    assert (skipping(images) - skipping(0.6 * images + tint)).abs().mean() > 0.1


def test_with_a_skip_silent_layers_hand_the_image_on() -> None:
    network = initialize(ResnetGenerator(8, 1, skip=True), torch.Generator().manual_seed(0), deviation=0.0)
    images = torch.linspace(-1, 1, 3 * 16 * 16).view(1, 3, 16, 16)
    torch.testing.assert_close(network(images), images, atol=0.0101, rtol=0)
    network.zero_grad()
    network(images).sum().backward()
    gradient = network.layers[-1].bias.grad
    assert gradient is not None
    assert gradient.abs().min() > 0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_instance_norm_is_instance_norm(layout: torch.memory_format) -> None:
    images = torch.randn(3, 5, 8, 6, generator=torch.Generator().manual_seed(2)).contiguous(memory_format=layout)
    images.requires_grad_()
    normed = InstanceNorm()(images)
    expected = F.instance_norm(images)
    assert normed.is_contiguous(memory_format=layout)
    torch.testing.assert_close(normed, expected)
    weight = torch.linspace(-1, 1, normed.numel()).view_as(normed)
    (gradient,) = torch.autograd.grad((normed * weight).sum(), images)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), images)
    torch.testing.assert_close(gradient, expected_gradient)


def test_instance_norm_of_one_image_that_is_not_trained_on_is_the_same() -> None:
    images = torch.randn(1, 5, 8, 6, generator=torch.Generator().manual_seed(2))
    normed = InstanceNorm()(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(normed, F.instance_norm(images))


def test_pixel_norm_is_each_pixels_own() -> None:
    images = torch.randn(2, 6, 5, 4, generator=torch.Generator().manual_seed(0))
    normed = PixelNorm()(images)
    torch.testing.assert_close(normed.square().mean(dim=1), torch.ones(2, 5, 4), atol=1e-4, rtol=0)
    changed = images.clone()
    changed[:, :, 0, 0] = 100.0
    torch.testing.assert_close(PixelNorm()(changed)[:, :, 1:, 1:], normed[:, :, 1:, 1:])


def test_with_pixel_norm_brightness_and_contrast_are_seen() -> None:
    images = torch.rand(2, 3, 32, 16, generator=torch.Generator().manual_seed(3)) - 0.5
    network = initialize(ResnetGenerator(8, 1, norm="pixel"), torch.Generator().manual_seed(0), deviation=0.05)
    assert (network(images) - network(0.6 * images + 0.1)).abs().mean() > 0.01


def test_initialization_follows_its_generator_alone() -> None:
    first, second = (
        initialize(ResnetGenerator(16, 1), torch.Generator().manual_seed(7)).state_dict() for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    weights = torch.cat([tensor.flatten() for name, tensor in first.items() if name.endswith("weight")])
    assert abs(float(weights.std()) - 0.02) < 0.001
    assert all(not tensor.any() for name, tensor in first.items() if name.endswith("bias"))


def test_frozen_lets_gradients_through_but_not_in() -> None:
    judge = PatchDiscriminator(8)
    images = torch.randn(1, 3, 64, 64, requires_grad=True)
    with frozen(judge):
        scores = judge(images)
    scores.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in judge.parameters())


def fakes(first: int, count: int) -> torch.Tensor:
    return torch.arange(first, first + count, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)


def test_pool_fills_then_hands_back_half_old_ones() -> None:
    pool, rng = HistoryPool(10), np.random.Generator(np.random.Philox(0))
    assert torch.equal(pool.exchange(fakes(0, 10), rng), fakes(0, 10))
    handed = torch.cat([pool.exchange(fakes(100 + number, 1), rng) for number in range(400)])[:, 0, 0, 0]
    given = torch.arange(100.0, 500.0)
    older = handed != given
    assert 0.4 < older.float().mean() < 0.6
    assert (handed[older] < given[older]).all()
    assert handed[older].unique().numel() == older.sum(), "each old fake is handed back once"


def test_pool_goes_on_from_its_state() -> None:
    def later(pool: HistoryPool) -> torch.Tensor:
        rng = np.random.Generator(np.random.Philox(1))
        return torch.cat([pool.exchange(fakes(100 + number, 2), rng) for number in range(20)])

    pool, copy = HistoryPool(6), HistoryPool(6)
    pool.exchange(fakes(0, 5), np.random.Generator(np.random.Philox(0)))
    copy.load_state_dict(pool.state_dict())
    assert torch.equal(later(pool), later(copy))
