"""Convolutions of 3 x 3 by Winograd's minimal filtering, in float32: a quarter of the multiplications.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4: tiles of 4 x 4 outputs,
F(4 x 4, 3 x 3). Neither PyTorch's CPU convolutions nor oneDNN (since 3.0) do it. Values differ from the direct sum by
about 1e-5 of the largest: ten times as much as the order of summation makes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_CHANNELS = 96
"""With fewer, moving the tiles costs more than the multiplications saved (measured at 48, 96 and 192 channels)."""

# The matrices B^T, G and A^T of the paper's section 4.3.
_TILE = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # times 24
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class WinogradConv(nn.Module):
    """A trained `Conv2d` of 3 x 3 and stride 1, for inference."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """Raises ValueError unless `fits` the convolution."""
        super().__init__()
        if not fits(conv):
            raise ValueError(f"only plain 3 x 3 convolutions of stride 1, not {conv}")
        kernel = torch.tensor(_KERNEL, dtype=torch.float64) / 24
        # In double precision: (36, in, out), a matrix for each place of a tile.
        moved = torch.einsum("ai,bj,ocij->abco", kernel, kernel, conv.weight.detach().cpu().double())
        device = conv.weight.device
        self.kernels = nn.Buffer(moved.flatten(0, 1).float().contiguous().to(device))
        self.before = nn.Buffer(_both_ways(_TILE).to(device))
        self.after = nn.Buffer(_both_ways(_OUTPUT).to(device))
        self.bias = conv.bias
        self.padding = int(conv.padding[0])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W') in channels-last memory, both best so."""
        count, channels, height, width = x.shape
        height, width = height + 2 * self.padding - 2, width + 2 * self.padding - 2
        rows, columns = -(-height // 4), -(-width // 4)
        below, right = 4 * rows - height + self.padding, 4 * columns - width + self.padding
        padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, self.padding, right, self.padding, below))
        tiles = padded.unfold(1, 6, 4).unfold(2, 6, 4).permute(4, 5, 0, 1, 2, 3).reshape(36, -1)
        summed = torch.bmm((self.before @ tiles).view(36, -1, channels), self.kernels)
        made = (self.after @ summed.view(36, -1)).view(4, 4, count, rows, columns, -1).permute(2, 3, 0, 4, 1, 5)
        whole = made.reshape(count, 4 * rows, 4 * columns, -1)[:, :height, :width]
        return (whole if self.bias is None else whole.add_(self.bias)).permute(0, 3, 1, 2)


def fits(conv: nn.Conv2d) -> bool:
    """Whether `WinogradConv` can stand for the convolution."""
    plain = conv.kernel_size == (3, 3) and conv.stride == conv.dilation == (1, 1) and conv.groups == 1
    return plain and conv.padding in {(0, 0), (1, 1)} and conv.padding_mode == "zeros"


def use_winograd(model: nn.Module) -> None:
    """Replace the model's convolutions where that pays on a CPU; it can't be trained any more."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Conv2d and fits(child) and min(child.weight.shape[:2]) >= LEAST_CHANNELS:
                setattr(module, name, WinogradConv(child))


def _both_ways(matrix: tuple[tuple[int, ...], ...]) -> Tensor:
    """A transform of columns as one of a whole tile, flattened."""
    along = torch.tensor(matrix, dtype=torch.float32)
    return torch.kron(along, along)
