"""Residual blocks in tiles: the same values as their own layers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pipeline.generators.networks.blocks import initialize
from pipeline.generators.networks.generators import ResnetGenerator
from pipeline.generators.networks.stargan import CameraGenerator
from pipeline.generators.networks.trunk import Trunk, use_trunks

CAMERA = torch.tensor([2])
NETWORKS: list[tuple[nn.Module, tuple[Tensor, ...]]] = [
    (ResnetGenerator(24, 2), ()),
    (ResnetGenerator(24, 2, "resize", skip=True, norm="pixel"), ()),
    (CameraGenerator(3, 24, 2), (CAMERA,)),
]


def ready(network: nn.Module) -> nn.Module:
    """Initialised strongly, gains of cameras too, and not to be trained."""
    made = initialize(copy.deepcopy(network), torch.Generator().manual_seed(0), deviation=0.1)
    for name, parameter in made.named_parameters():
        if name.endswith(("gain", "offset", "bias")):
            nn.init.normal_(parameter, 1.0, 0.5, generator=torch.Generator().manual_seed(1))
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize(("network", "asked"), NETWORKS)
@pytest.mark.parametrize("size", [(64, 32), (48, 16), (16, 16)])
def test_the_same_values(network: nn.Module, asked: tuple[Tensor, ...], size: tuple[int, int]) -> None:
    own = ready(network)
    tiled = copy.deepcopy(own)
    assert use_trunks(tiled)
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2)) * 2 - 1
    expected = own(image, *asked)
    assert expected.std() > 0.1
    torch.testing.assert_close(tiled(image, *asked), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize(("network", "asked"), NETWORKS)
def test_bfloat16_is_near(network: nn.Module, asked: tuple[Tensor, ...]) -> None:
    own = ready(network)
    image = torch.rand(1, 3, 64, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    expected = own(image, *asked)
    half = own.bfloat16()
    assert use_trunks(half)
    error = (half(image.bfloat16(), *asked).float() - expected).square().mean().sqrt()
    assert error < 0.1 * expected.std()


def test_what_can_not_be_cut_goes_through_the_layers() -> None:
    own = ready(NETWORKS[0][0])
    tiled = copy.deepcopy(own)
    use_trunks(tiled)
    for images in (torch.rand(1, 3, 40, 32), torch.rand(2, 3, 32, 32)):
        assert torch.equal(tiled(images), own(images))


def test_narrow_networks_and_others_keep_their_layers() -> None:
    assert not use_trunks(ResnetGenerator(16, 2))
    assert not use_trunks(nn.Sequential(nn.Conv2d(96, 96, 3)))
    network = ResnetGenerator(24, 2)
    assert use_trunks(network)
    assert sum(isinstance(module, Trunk) for module in network.modules()) == 1
