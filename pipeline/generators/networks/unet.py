"""pix2pix's U-Net: an encoder and a decoder that sees what the encoder saw at each size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.generators.networks.blocks import InstanceNorm, Upsampling, upsample


class UNet(nn.Module):
    """(N, ``channels_in``, H, W) -> (N, 3, H, W), both in [-1, 1] (Isola et al., CVPR 2017, appendix 6.1.1).

    Convolutions 4 x 4 with stride 2 of n, 2n, 4n, 8n, 8n ... channels (n = ``width``) and back, with skips. The paper's
    eight halvings need 256 x 256 pixels; here they go on while both sides of ``size`` can be halved and the shorter one
    is more than 2. Instance norm, so that a row depends on that row alone, and no dropout: the paper's only noise.
    """

    def __init__(
        self, size: tuple[int, int], channels_in: int, width: int = 64, upsampling: Upsampling = "transposed"
    ) -> None:
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(_halvings(size))]
        self.down = nn.ModuleList()
        for level, wide in enumerate(widths):
            before = channels_in if level == 0 else widths[level - 1]
            first: list[nn.Module] = [] if level == 0 else [nn.LeakyReLU(0.2)]
            norm: list[nn.Module] = [] if level == 0 else [InstanceNorm()]
            self.down.append(nn.Sequential(*first, nn.Conv2d(before, wide, 4, stride=2, padding=1), *norm))
        self.up = nn.ModuleList()
        for level in reversed(range(1, len(widths))):
            seen = widths[level] if level == len(widths) - 1 else 2 * widths[level]
            made = upsample(seen, widths[level - 1], upsampling)
            self.up.append(nn.Sequential(nn.ReLU(), made, InstanceNorm()))
        self.last = nn.Sequential(nn.ReLU(), upsample(2 * widths[0], width, upsampling), nn.ReLU())
        self.to_image = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        seen: list[Tensor] = []
        for layer in self.down:
            images = layer(images)
            seen.append(images)
        made = seen.pop()
        for layer in self.up:
            made = torch.cat([layer(made), seen.pop()], dim=1)
        return torch.tanh(self.to_image(self.last(made)))


def sides_divide_by(size: tuple[int, int]) -> int:
    """What the sides of images must be multiples of, for a network that was built for ``size``."""
    return 2 ** _halvings(size)


def _halvings(size: tuple[int, int]) -> int:
    height, width = size
    count = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) > 2:
        height, width, count = height // 2, width // 2, count + 1
    if count < 2:
        raise ValueError(f"a U-Net needs sides that can be halved twice, got {size}")
    return count
