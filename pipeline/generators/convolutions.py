"""How a generator's convolutions are computed: in which layout, of how many images, by which arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Convolutions = Literal["auto", "channels_last", "planar", "winograd"]
"""``channels_last``: whole batches; ``planar``: an image at a time; ``winograd``: as planar, residual blocks by
`pipeline.generators.networks.trunk`."""


def arrange(network: nn.Module, convolutions: Convolutions) -> Convolutions:
    """Let ``network``, in eval mode, compute its convolutions so; ``auto`` is as `untried`. Returns what it is then.

    What is computed differs in the last digits alone.
    """
    import torch

    from pipeline.generators.networks.trunk import use_trunks

    if convolutions == "auto":
        convolutions = untried(network)
    if convolutions == "winograd":
        use_trunks(network)
    network.to(memory_format=memory_format(convolutions))
    return convolutions


def memory_format(convolutions: Convolutions) -> torch.memory_format:
    """Of images and kernels."""
    return torch.channels_last if convolutions == "channels_last" else torch.contiguous_format


def untried(network: nn.Module) -> Convolutions:
    """What suits ``network`` where nothing was tried: ``planar`` residual blocks on a processor, else whole batches.

    Measured on two processors without AMX: at 256 x 128 residual generators are 1.15 to 1.3 times as fast an image at a
    time, while the small convolutions of a U-Net or a DCGAN are 1.2 to 2.4 times as fast in whole batches.
    """
    on_gpu = any(parameter.is_cuda for parameter in network.parameters())
    return "planar" if is_residual(network) and not on_gpu else "channels_last"


def is_residual(network: nn.Module) -> bool:
    """Whether ``network`` has blocks that a `pipeline.generators.networks.trunk.Trunk` could compute."""
    from pipeline.generators.networks.trunk import Residual

    return any(isinstance(module, Residual) for module in network.modules())
