"""Layers of the ReID networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.reid.network import NetworkSettings, build_network


def shortcuts(channels: int) -> list[nn.Conv2d]:
    """The strided 1x1 convolutions of a small network."""
    network = build_network(NetworkSettings(channels=channels), 2)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return [layer for layer in layers if layer.kernel_size == (1, 1) and layer.stride != (1, 1)]


def test_a_narrow_shortcut_is_the_convolution_that_it_stands_for() -> None:
    narrow = shortcuts(4)[0]
    plain = nn.Conv2d(narrow.in_channels, narrow.out_channels, 1, narrow.stride, bias=False).double()
    plain.weight.data.copy_(narrow.weight)
    images = torch.randn(2, narrow.in_channels, 9, 6, generator=torch.Generator().manual_seed(0))
    for layer, given in ((narrow, images), (plain, images.double())):
        layer(given.contiguous(memory_format=torch.channels_last)).square().sum().backward()
    assert torch.allclose(narrow(images).double(), plain(images.double()), atol=1e-5)
    assert narrow.weight.grad is not None
    assert plain.weight.grad is not None
    assert torch.allclose(narrow.weight.grad.double(), plain.weight.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("channels", "narrow"), [(4, [True, True]), (8, [True, False]), (16, [False, False])])
def test_no_layer_is_of_the_kind_whose_gradient_spoils_the_heap(channels: int, narrow: list[bool]) -> None:
    found = shortcuts(channels)
    assert [layer.in_channels < 16 for layer in found] == narrow
    assert [type(layer) is not nn.Conv2d for layer in found] == narrow
