"""Discriminators."""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.generators.networks.blocks import InstanceNorm

PUBLISHED_LAYERS = 3
"""Of the PatchGAN of 70 x 70 pixels, which pix2pix, CycleGAN and all after them use at 256 x 256."""


def patch_field(layers: int) -> int:
    """Height and width in pixels of what one score of a `PatchDiscriminator` depends on: ``9 * 2^layers - 2``.

    Its two last convolutions, 4 x 4 with stride 1, see 7 x 7; each of stride 2 before them makes f into 2 f + 2. So 16,
    34, 70, 142, 286 for one to five ``layers``: 16, 70 and 286 are the fields that Isola et al. (CVPR 2017, section
    4.4) compare.
    """
    return 9 * 2**layers - 2


def smallest_side(layers: int) -> int:
    """Pixels that an image must have on each side to get one score."""
    return 3 * 2**layers


def patch_layers(size: tuple[int, int]) -> int:
    """How many layers make the critic of images of ``size`` (height, width) one of patches.

    The most, up to the published three, whose field is no higher than two thirds of the image: 3 at 256 x 128 and at
    128 x 64 (70 pixels are 0.27 and 0.55 of the height), 2 at 64 x 32 (34 are 0.53), 1 at 32 x 16. The 70 pixels would
    cover all of a 64 x 32 image, and its critic would judge the whole of it alone.
    """
    height, shorter = size[0], min(size)
    fitting = [
        layers
        for layers in range(1, PUBLISHED_LAYERS + 1)
        if 3 * patch_field(layers) <= 2 * height and smallest_side(layers) <= shorter
    ]
    return max(fitting, default=1)


class PatchDiscriminator(nn.Module):
    """The PatchGAN (Isola et al., CVPR 2017, appendix 6.1.2, with CycleGAN's instance norm).

    Cn-C2n-C4n-C8n with 4 x 4 kernels (n = ``width``; stride 2 but for the last), then one score a patch. ``layers``
    counts the strided convolutions, three as published: (N, C, H, W) -> (N, 1, H / 2^layers - 2, W / 2^layers - 2),
    unbounded. See `patch_field` for how large a patch is.
    """

    def __init__(self, width: int = 64, layers: int = PUBLISHED_LAYERS, channels_in: int = 3) -> None:
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
