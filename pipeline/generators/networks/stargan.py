"""One generator for many cameras, and the critic that names them (StarGAN's form)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from pipeline.generators.networks.blocks import Norm, Upsampling, make_norm, upsample
from pipeline.generators.networks.generators import changed


class CameraNorm(nn.Module):
    """A norm whose gain and offset belong to the asked camera (Dumoulin et al., ICLR 2017, equation 5).

    StarGAN puts one constant map a domain beside the image. An instance norm takes what a constant map adds right
    away again, but at the borders, so the question would hardly be heard; here it is asked after the norm.
    """

    def __init__(self, channels: int, cameras: int, norm: Norm) -> None:
        super().__init__()
        self.norm = make_norm(norm)
        self.gain = nn.Parameter(torch.ones(cameras, channels))
        self.offset = nn.Parameter(torch.zeros(cameras, channels))

    def forward(self, images: Tensor, camera: Tensor) -> Tensor:
        normed: Tensor = self.norm(images)
        return normed * self.gain[camera, :, None, None] + self.offset[camera, :, None, None]


class _Layer(nn.Module):
    """Convolution, the camera's norm, ReLU or nothing."""

    def __init__(self, convolution: nn.Module, channels: int, cameras: int, norm: Norm, active: bool = True) -> None:
        super().__init__()
        self.convolution, self.norm = convolution, CameraNorm(channels, cameras, norm)
        self.activation = nn.ReLU(inplace=True) if active else nn.Identity()

    def forward(self, images: Tensor, camera: Tensor) -> Tensor:
        made: Tensor = self.activation(self.norm(self.convolution(images), camera))
        return made


class _Residual(nn.Module):
    def __init__(self, channels: int, cameras: int, norm: Norm) -> None:
        super().__init__()
        self.first = _Layer(_convolution(channels, channels, 3), channels, cameras, norm)
        self.second = _Layer(_convolution(channels, channels, 3), channels, cameras, norm, active=False)

    def forward(self, images: Tensor, camera: Tensor) -> Tensor:
        made: Tensor = images + self.second(self.first(images, camera), camera)
        return made

    def halves(self) -> tuple[tuple[nn.Conv2d, nn.Module], tuple[nn.Conv2d, nn.Module]]:
        """Each convolution and its norm."""
        first, second = (cast(nn.Sequential, half.convolution)[1] for half in (self.first, self.second))
        return (cast(nn.Conv2d, first), self.first.norm), (cast(nn.Conv2d, second), self.second.norm)


class CameraGenerator(nn.Module):
    """(N, 3, H, W) in [-1, 1] and the asked cameras' indices (N,) -> (N, 3, H, W) in [-1, 1].

    CycleGAN's layers (see `pipeline.generators.networks.generators`) with a `CameraNorm` in place of each norm. No
    dropout and no batch statistics: a row depends on that row alone. ``skip`` as there.
    """

    def __init__(
        self,
        cameras: int,
        width: int = 64,
        blocks: int = 9,
        upsampling: Upsampling = "transposed",
        skip: bool = False,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.skip = skip
        self.layers = nn.ModuleList(
            [
                _Layer(_convolution(3, width, 7), width, cameras, norm),
                _Layer(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), 2 * width, cameras, norm),
                _Layer(nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1), 4 * width, cameras, norm),
                *(_Residual(4 * width, cameras, norm) for _ in range(blocks)),
                _Layer(upsample(4 * width, 2 * width, upsampling), 2 * width, cameras, norm),
                _Layer(upsample(2 * width, width, upsampling), width, cameras, norm),
            ]
        )
        self.to_image = _convolution(width, 3, 7)

    def forward(self, images: Tensor, camera: Tensor) -> Tensor:
        made = images
        for layer in self.layers:
            made = layer(made, camera)
        made = self.to_image(made)
        return changed(images, made) if self.skip else torch.tanh(made)


class CameraCritic(nn.Module):
    """(N, 3, H, W) -> how real each patch is (N, 1, h, w), and logits of the camera that took the image (N, C).

    Convolutions 4 x 4 with stride 2 and no norm, doubling from ``width`` up to 8 x, until the shorter side is 2
    (Choi et al., CVPR 2018, appendix, table 5: six of them at 128 x 128).
    """

    def __init__(self, size: tuple[int, int], cameras: int, width: int = 64) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        channels, (height, wide) = 3, size
        while min(height, wide) >= 4:
            wider = width * min(2 ** (len(parts) // 2), 8)
            parts += [nn.Conv2d(channels, wider, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
            channels, height, wide = wider, height // 2, wide // 2
        self.layers = nn.Sequential(*parts)
        self.score = nn.Conv2d(channels, 1, 3, padding=1)
        self.camera = nn.Conv2d(channels, cameras, (height, wide))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layers(images)
        return cast(Tensor, self.score(features)), cast(Tensor, self.camera(features)).flatten(1)


def _convolution(channels_in: int, channels_out: int, side: int) -> nn.Module:
    return nn.Sequential(nn.ReflectionPad2d(side // 2), nn.Conv2d(channels_in, channels_out, side))
