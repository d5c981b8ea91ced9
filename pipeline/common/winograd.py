"""Convolutions of 3 x 3 by Winograd's minimal filtering: a quarter of the multiplications.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4: tiles of 4 x 4 outputs,
F(4 x 4, 3 x 3). Neither PyTorch's CPU convolutions nor oneDNN (since 3.0) do it. In float32 values differ from the
direct sum by about 1e-5 of the largest: ten times as much as the order of summation makes.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_CHANNELS = 96
"""With fewer, moving the tiles costs more than the multiplications saved (measured at 48, 96 and 192 channels)."""
LONGEST_LINE = 24
"""Outputs in a line up to which tiles are transformed by whole lines: the work grows with their length squared."""

SIDE = 4
"""Outputs of a tile, along one side."""
READ = SIDE + 2
"""What it reads for them."""

# Matrices B^T, G and A^T of the points 0, 1, -1, 1/2, -2 and infinity. With 2 in the place of 1/2, as in section 4.3
# of the paper, products in bfloat16 lose another 3.5 dB; of these, each entry and each product of two is exact in it.
TILE = (
    (1.0, -1.5, -2.0, 1.5, 1.0, 0.0),
    (0.0, -1.0, 0.5, 2.5, 1.0, 0.0),
    (0.0, 1.0, -2.5, 0.5, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 0.5, -1.0, -0.5, 1.0, 0.0),
    (0.0, 1.0, -1.5, -2.0, 1.5, 1.0),
)
_KERNEL = ((15, 0, 0), (5, 5, 5), (-5, 5, -5), (-16, -8, -4), (1, -2, 4), (0, 0, 15))  # times 15
OUTPUT = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 0.5, -2.0, 0.0),
    (0.0, 1.0, 1.0, 0.25, 4.0, 0.0),
    (0.0, 1.0, -1.0, 0.125, -8.0, 1.0),
)


class WinogradConv(nn.Module):
    """A trained `Conv2d` of 3 x 3 and stride 1, for inference."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """Raises ValueError unless `fits` the convolution."""
        super().__init__()
        if not fits(conv):
            raise ValueError(f"only plain 3 x 3 convolutions of stride 1, not {conv}")
        self.kernels = nn.Buffer(transformed(conv.weight))
        self.before = nn.Buffer(both_ways(TILE).to(conv.weight))
        self.after = nn.Buffer(both_ways(OUTPUT).to(conv.weight))
        self.bias = conv.bias
        self.padding = int(conv.padding[0])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'), in memory as (H', W', B, C'), which another one takes without a copy."""
        count, channels = x.shape[:2]
        height, width = (side + 2 * self.padding - 2 for side in x.shape[2:])
        rows, columns = -(-height // 4), -(-width // 4)
        places = x.permute(2, 3, 0, 1).contiguous()
        tiles = (self._tiles if max(height, width) > LONGEST_LINE else self._tiles_by_lines)(places, rows, columns)
        summed = torch.bmm(tiles.view(36, -1, channels), self.kernels)
        made = (self.after @ summed.view(36, -1)).view(4, 4, rows, columns, -1).permute(2, 0, 3, 1, 4)
        whole = made.reshape(4 * rows, 4 * columns, count, -1)[:height, :width]
        return (whole if self.bias is None else whole.add_(self.bias)).permute(2, 3, 0, 1)

    def _tiles(self, places: Tensor, rows: int, columns: int) -> Tensor:
        """(H, W, B, C) -> transformed tiles (36, rows * columns * B * C), cut out and multiplied as a whole."""
        below, right = (4 * n + 2 - side - self.padding for n, side in zip((rows, columns), places.shape, strict=False))
        padded = functional.pad(places, (0, 0, 0, 0, self.padding, right, self.padding, below))
        return self.before @ padded.unfold(0, 6, 4).unfold(1, 6, 4).permute(4, 5, 0, 1, 2, 3).reshape(36, -1)

    def _tiles_by_lines(self, places: Tensor, rows: int, columns: int) -> Tensor:
        """The same by a product down and one across, in whose matrices the borders are: half the multiplications."""
        height, width = places.shape[:2]
        vertical = _of_line(rows, height, self.padding).to(places)
        horizontal = _of_line(columns, width, self.padding).to(places)
        down = (vertical @ places.view(height, -1)).view(6 * rows, width, -1)
        across = torch.bmm(horizontal.expand(6 * rows, -1, -1), down)
        return across.view(6, rows, 6, -1).transpose(1, 2).reshape(36, -1)


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


def transformed(weight: Tensor) -> Tensor:
    """Kernels (O, C, 3, 3) -> a matrix for each of the 36 places that a tile reads: (36, C, O), of the same kind."""
    kernel = torch.tensor(_KERNEL, dtype=torch.float64) / 15
    moved = torch.einsum("ai,bj,ocij->abco", kernel, kernel, weight.detach().cpu().double())
    return moved.flatten(0, 1).to(weight.device, weight.dtype).contiguous()


def both_ways(matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """A transform of columns as one of a whole tile, flattened."""
    along = torch.tensor(matrix, dtype=torch.float32)
    return torch.kron(along, along)


@cache
def _of_line(tiles: int, places: int, padding: int) -> Tensor:
    """A line's transform (6 * tiles, places): place k of each tile, then place k + 1 of each."""
    padded = torch.zeros(6, tiles, 4 * tiles + 2)
    for tile in range(tiles):
        padded[:, tile, 4 * tile : 4 * tile + 6] = torch.tensor(TILE, dtype=torch.float32)
    return padded[:, :, padding : padding + places].reshape(6 * tiles, places)
