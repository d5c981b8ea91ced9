"""Networks made to compute their convolutions in one of the ways that `pipeline.generators.convolutions` names."""

from __future__ import annotations

import torch
from torch import nn

from pipeline.generators.convolutions import Convolutions
from pipeline.generators.networks.trunk import Residual, use_trunks

LEAST_PIXELS = 128 * 64
"""Of an image that is worth being computed by itself."""


def arrange(network: nn.Module, convolutions: Convolutions, size: tuple[int, int]) -> Convolutions:
    """Let ``network``, in eval mode, compute its convolutions so; ``auto`` is as `untried`. Returns what it is then:
    ``winograd`` is ``planar`` where no block is wide enough.

    What is computed differs in the last digits alone.
    """
    if convolutions == "auto":
        convolutions = untried(network, size)
    if convolutions == "winograd" and not use_trunks(network):
        convolutions = "planar"
    network.to(memory_format=memory_format(convolutions))
    return convolutions


def memory_format(convolutions: Convolutions) -> torch.memory_format:
    """Of images and kernels."""
    return torch.channels_last if convolutions == "channels_last" else torch.contiguous_format


def untried(network: nn.Module, size: tuple[int, int]) -> Convolutions:
    """What suits ``network`` for images of ``size`` (height, width) where nothing was tried: ``planar`` residual blocks
    on a processor, but for small images, else whole batches.

    Measured on two processors without AMX: at 256 x 128 residual generators are 1.15 to 1.3 times as fast an image at a
    time, at 64 x 32 1.3 to 1.5 times as fast in whole batches; the small convolutions of a U-Net or a DCGAN are 1.2 to
    2.4 times as fast so.
    """
    on_gpu = any(parameter.is_cuda for parameter in network.parameters())
    large = size[0] * size[1] >= LEAST_PIXELS
    return "planar" if large and is_residual(network) and not on_gpu else "channels_last"


def is_residual(network: nn.Module) -> bool:
    """Whether ``network`` has blocks that a `pipeline.generators.networks.trunk.Trunk` could compute."""
    return any(isinstance(module, Residual) for module in network.modules())
