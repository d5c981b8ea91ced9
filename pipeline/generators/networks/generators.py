"""Image-to-image generators."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from pipeline.generators.networks.blocks import Norm, Upsampling, make_norm, upsample


def changed(images: Tensor, change: Tensor) -> Tensor:
    """``tanh(change + artanh(images))``: the images where nothing changes; all in [-1, 1]."""
    # In float32, and short of 1, where artanh has its pole.
    return torch.tanh(change.float() + torch.atanh(images.float() * 0.99))


class ResidualBlock(nn.Module):
    """Two reflect-padded 3 x 3 convolutions with a norm, added to the input; no activation after the sum."""

    def __init__(self, channels: int, norm: Norm = "instance") -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            make_norm(norm),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            make_norm(norm),
        )

    def forward(self, features: Tensor) -> Tensor:
        summed: Tensor = features + self.layers(features)
        return summed

    def halves(self) -> tuple[tuple[nn.Conv2d, nn.Module], tuple[nn.Conv2d, nn.Module]]:
        """Each convolution and its norm."""
        _, first, first_norm, _, _, second, second_norm = self.layers
        return (cast(nn.Conv2d, first), first_norm), (cast(nn.Conv2d, second), second_norm)


class ResnetGenerator(nn.Module):
    """CycleGAN's generator (Zhu et al., ICCV 2017, appendix 7.2, after Johnson et al., ECCV 2016).

    c7s1-n, d2n, d4n, ``blocks`` x R4n, u2n, un, c7s1-3, tanh, with n = ``width``. It maps (N, 3, H, W) to
    (N, 3, H, W), both in [-1, 1]; H and W divisible by 4. No dropout and no batch statistics: it is a pure function.

    As published it cannot see how bright or how contrasted an image is: instance norm after the first convolution
    makes G(s x + t) = G(x) for any scale s > 0 and any tint t, so absolute colours are guessed from the content; a
    ``norm`` of each pixel lets them through. With
    ``skip`` the layers say only what changes, tanh(layers(x) + artanh(x)): colours and detail pass by, and a short
    training starts from the image itself.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        upsampling: Upsampling = "transposed",
        channels_in: int = 3,
        channels_out: int = 3,
        skip: bool = False,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.skip = skip
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(channels_in, width, 7),
            make_norm(norm),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            make_norm(norm),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            make_norm(norm),
            nn.ReLU(inplace=True),
            *(ResidualBlock(4 * width, norm) for _ in range(blocks)),
            upsample(4 * width, 2 * width, upsampling),
            make_norm(norm),
            nn.ReLU(inplace=True),
            upsample(2 * width, width, upsampling),
            make_norm(norm),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, channels_out, 7),
        )

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = self.layers(images)
        return changed(images, made) if self.skip else torch.tanh(made)
