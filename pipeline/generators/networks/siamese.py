"""SPGAN's siamese network: who is who, as a point on a sphere."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

_BLOCKS = 4


class SiaNet(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] -> embeddings (N, 128) of length 1 (Deng et al., CVPR 2018, section 3.2).

    Four blocks of convolution 4 x 4 with stride 2, LeakyReLU and max-pooling, of n, 2n, 4n and 8n channels (n =
    ``width``), then a linear layer. That divides 256 x 256 pixels by 256. For a smaller ``size`` (sides of 16 or more)
    the poolings that would leave the convolutions after them nothing to divide are left out, side by side.
    """

    def __init__(self, size: tuple[int, int], width: int = 64, features: int = 128) -> None:
        super().__init__()
        if min(size) < 2**_BLOCKS:
            raise ValueError(f"sides must be {2**_BLOCKS} pixels or more, got {size}")
        sides, channels = list(size), 3
        parts: list[nn.Module] = []
        for block in range(_BLOCKS):
            to_come = 2 ** (_BLOCKS - 1 - block)
            wider = width * 2**block
            sides = [side // 2 for side in sides]
            pool = (2 if sides[0] // 2 >= to_come else 1, 2 if sides[1] // 2 >= to_come else 1)
            sides = [side // by for side, by in zip(sides, pool, strict=True)]
            parts += [nn.Conv2d(channels, wider, 4, stride=2, padding=1), nn.LeakyReLU(0.2, True), nn.MaxPool2d(pool)]
            channels = wider
        self.layers = nn.Sequential(*parts)
        self.embedding = nn.Linear(channels * sides[0] * sides[1], features)

    def forward(self, images: Tensor) -> Tensor:
        flat = self.layers(images).flatten(1)
        return functional.normalize(self.embedding(flat).float(), dim=1)
