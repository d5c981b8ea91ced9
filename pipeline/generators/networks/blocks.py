"""What the GAN networks share: normalisation, upsampling, initialisation, the pool of past fakes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Upsampling = Literal["transposed", "resize"]
DEFAULT_UPSAMPLING: Upsampling = "resize"
"""In place of the papers' transposed convolutions, where nothing else is asked for."""
Norm = Literal["instance", "pixel"]


class InstanceNorm(nn.Module):
    """Each channel of each image to mean 0 and variance 1 over its pixels; nothing learned, nothing tracked.

    (N, C, H, W) -> the same. A row's result depends on that row alone, in training and at generation; its last digits
    on whether it is one image by itself, and on the layout.
    """

    def forward(self, images: Tensor) -> Tensor:
        if len(images) == 1 and images.is_contiguous(memory_format=torch.channels_last) and not images.requires_grad:
            return F.batch_norm(images, None, None, training=True)  # of one image it is the same
        # A group norm of one channel a group is the same arithmetic. On a CPU its planar kernel is several times
        # faster than the channels-last one, and than instance_norm, which leaves its output planar anyway.
        planar = images.contiguous()
        normed = F.group_norm(planar, planar.shape[1])
        if images.is_contiguous(memory_format=torch.channels_last):
            return normed.contiguous(memory_format=torch.channels_last)
        return normed


class PixelNorm(nn.Module):
    """Each pixel's channels to mean square 1 (Karras et al., "Progressive Growing of GANs", ICLR 2018, section 4.2).

    (N, C, H, W) -> the same. Instance norm hides how bright an image is, and a generator that needs to know learns to
    carry it past the norm in one bright blob (Karras et al., CVPR 2020, section 2). Nothing is hidden here.
    """

    def forward(self, images: Tensor) -> Tensor:
        return images * torch.rsqrt(images.float().square().mean(dim=1, keepdim=True) + 1e-6).to(images.dtype)


def make_norm(kind: Norm) -> nn.Module:
    """A norm with nothing learned and nothing tracked: a row's result depends on that row alone."""
    return InstanceNorm() if kind == "instance" else PixelNorm()


def upsample(channels_in: int, channels_out: int, how: Upsampling) -> nn.Module:
    """A layer that doubles height and width.

    ``transposed`` is CycleGAN's own; ``resize`` (nearest, then a convolution) leaves no checkerboard
    (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill 2016).
    """
    if how == "transposed":
        return nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.ReflectionPad2d(1),
        nn.Conv2d(channels_in, channels_out, 3),
    )


def initialize(network: nn.Module, generator: torch.Generator, deviation: float = 0.02) -> nn.Module:
    """All weights from N(0, ``deviation``), all biases 0, drawn from ``generator``; returns ``network``."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, deviation, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Inside, gradients flow through ``networks`` but not into their parameters."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


class HistoryPool:
    """Past fakes for the discriminator (Shrivastava et al., CVPR 2017, section 2.3; 50 images in CycleGAN).

    All draws come from the generator given to `exchange`, so a run that is taken up again draws as it would have.
    """

    def __init__(self, size: int = 50) -> None:
        self.size = size
        self._images: list[Tensor] = []

    def exchange(self, fakes: Tensor, rng: np.random.Generator) -> Tensor:
        """For each of ``fakes`` (N, C, H, W), with probability 1/2 an older one, whose place it then takes.

        Until the pool is full every fake is kept and handed back as it is.
        """
        handed: list[Tensor] = []
        for fake in fakes.detach():
            if len(self._images) < self.size:
                self._images.append(fake.clone())
                handed.append(fake)
            elif rng.random() < 0.5:
                place = int(rng.integers(self.size))
                handed.append(self._images[place])
                self._images[place] = fake.clone()
            else:
                handed.append(fake)
        return torch.stack(handed, out=torch.empty_like(fakes))

    def state_dict(self) -> dict[str, Any]:
        return {"images": torch.stack(self._images) if self._images else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        images = state["images"]
        self._images = [] if images is None else list(images.unbind())
