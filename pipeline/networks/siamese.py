"""SPGAN's siamese network: who is who, as a point on a sphere."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class SiaNet(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] -> embeddings (N, 128) of length 1 (Deng et al., CVPR 2018, section 3.2).

    Four blocks of convolution 4 x 4 with stride 2, LeakyReLU and max-pooling, of n, 2n, 4n and 8n channels (n =
    ``width``), then a linear layer. That divides 256 x 256 pixels by 256; for a smaller ``size``, a pooling or a
    stride that has nothing left to divide is left out.
    """

    def __init__(self, size: tuple[int, int], width: int = 64, features: int = 128) -> None:
        super().__init__()
        height, wide = size
        parts: list[nn.Module] = []
        channels = 3
        for block in range(4):
            wider = width * 2**block
            divides = min(height, wide) >= 2
            kernel, stride = (4, 2) if divides else (3, 1)
            parts += [nn.Conv2d(channels, wider, kernel, stride, padding=1), nn.LeakyReLU(0.2, True)]
            height, wide, channels = (height // 2, wide // 2, wider) if divides else (height, wide, wider)
            if min(height, wide) >= 2:
                parts.append(nn.MaxPool2d(2))
                height, wide = height // 2, wide // 2
        self.layers = nn.Sequential(*parts)
        self.embedding = nn.Linear(channels * height * wide, features)

    def forward(self, images: Tensor) -> Tensor:
        flat = self.layers(images).flatten(1)
        return functional.normalize(self.embedding(flat).float(), dim=1)
