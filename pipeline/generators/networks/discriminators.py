"""Discriminators."""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.generators.networks.blocks import InstanceNorm


class PatchDiscriminator(nn.Module):
    """The 70 x 70 PatchGAN (Isola et al., CVPR 2017, appendix 6.1.2, with CycleGAN's instance norm).

    Cn-C2n-C4n-C8n with 4 x 4 kernels (n = ``width``; stride 2 but for the last), then one score a patch:
    (N, C, H, W) -> (N, 1, H / 8 - 2, W / 8 - 2), unbounded. ``layers`` counts the strided convolutions.
    """

    def __init__(self, width: int = 64, layers: int = 3, channels_in: int = 3) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(channels_in, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
        channels = width
        for index in range(1, layers + 1):
            wider = width * min(2**index, 8)
            stride = 2 if index < layers else 1
            parts += [
                nn.Conv2d(channels, wider, 4, stride=stride, padding=1),
                InstanceNorm(),
                nn.LeakyReLU(0.2, True),
            ]
            channels = wider
        parts.append(nn.Conv2d(channels, 1, 4, padding=1))
        self.layers = nn.Sequential(*parts)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layers(images)
        return scores
