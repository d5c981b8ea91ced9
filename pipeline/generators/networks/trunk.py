"""The residual blocks of a trained generator, computed in tiles: 3 x 3 convolutions by Winograd's minimal filtering.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4: F(4 x 4, 3 x 3), a quarter
of the multiplications. An image stays in tiles from the first block to the last: its pixels are rows of channels in the
order of their tiles, so norm, activation and sum are those of rows, and reflection at the border is a choice of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pipeline.common.winograd import LEAST_CHANNELS, OUTPUT, READ, SIDE, TILE, both_ways, transformed


@runtime_checkable
class Residual(Protocol):
    """A block whose result is its input plus two convolutions of it, with a ReLU between them."""

    def halves(self) -> tuple[tuple[nn.Conv2d, nn.Module], tuple[nn.Conv2d, nn.Module]]:
        """Each convolution, of 3 x 3 upon reflected borders, and its norm."""


class TiledConv(nn.Module):
    """A reflected 3 x 3 convolution of rows of channels in tiles: (P, C) -> (P, C')."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.kernels = nn.Buffer(transformed(conv.weight))
        self.before = nn.Buffer(both_ways(TILE).to(conv.weight))
        self.after = nn.Buffer(both_ways(OUTPUT).to(conv.weight))
        self.bias = conv.bias

    def forward(self, rows: Tensor, read: Tensor) -> Tensor:
        """``read`` (tiles * 36,): which row lies at each place of what a tile reads."""
        # Tile by tile, for the transforms stay in a core's cache so; the products in between are by place.
        tiles = self.before @ rows.index_select(0, read).view(-1, READ**2, rows.shape[1])
        summed = torch.bmm(tiles.transpose(0, 1), self.kernels).transpose(0, 1)
        made = (self.after @ summed).flatten(0, 1)
        return made if self.bias is None else made.add_(self.bias)


class Trunk(nn.Module):
    """Residual blocks of one width one after the other, for inference on a CPU.

    An image (1, C, H, W) goes through them in tiles, whatever else they are asked; what can't be cut so, as their own
    layers have it: several images, and sides that `SIDE` does not divide.
    """

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        halves = [half for block in blocks if isinstance(block, Residual) for half in block.halves()]
        self.convolutions = nn.ModuleList(TiledConv(conv) for conv, _ in halves)
        self._norms = [norm for _, norm in halves]

    def forward(self, images: Tensor, *asked: Tensor) -> Tensor:
        count, channels, height, width = images.shape
        if count != 1 or height % SIDE or width % SIDE:
            for block in self.blocks:
                images = block(images, *asked)
            return images
        down, across = height // SIDE, width // SIDE
        tiled = images.view(channels, down, SIDE, across, SIDE).permute(1, 3, 2, 4, 0)
        rows, read = tiled.reshape(-1, channels), _read(height, width).to(images.device)
        layers = list(zip(self.convolutions, self._norms, strict=True))
        for first, second in zip(layers[::2], layers[1::2], strict=True):
            inner = _normed(*first, rows, read, asked).relu_()
            rows = rows + _normed(*second, inner, read, asked)
        whole = rows.view(down, across, SIDE, SIDE, channels).permute(4, 0, 2, 1, 3)
        return whole.reshape(1, channels, height, width)


def _normed(convolution: nn.Module, norm: nn.Module, rows: Tensor, read: Tensor, asked: tuple[Tensor, ...]) -> Tensor:
    """Convolution and norm; to the norm, rows are the pixels of an image of width 1 in channels-last memory."""
    image = convolution(rows, read).t()[None, :, :, None]
    made: Tensor = norm(image, *asked)
    return made[0, :, :, 0].t()


@lru_cache(maxsize=8)
def _read(height: int, width: int) -> Tensor:
    """For each place of what each tile reads: the row of that pixel, reflected where it lies outside."""
    down, across, place = height // SIDE, width // SIDE, torch.arange(READ) - 1
    y = _reflected(SIDE * torch.arange(down)[:, None] + place, height)[:, None, :, None]
    x = _reflected(SIDE * torch.arange(across)[:, None] + place, width)[None, :, None, :]
    tile = (y // SIDE) * across + x // SIDE
    return (tile * SIDE**2 + SIDE * (y % SIDE) + x % SIDE).flatten()


def _reflected(places: Tensor, side: int) -> Tensor:
    """One pixel beyond either end is the one beside the end."""
    return (side - 1 - (side - 1 - places.abs()).abs()).clamp(0, side - 1)


def use_trunks(network: nn.Module) -> bool:
    """Replace runs of residual blocks by `Trunk`s where that pays on a CPU; whether any were. It can't be trained any
    more."""
    found = False
    for parent in [one for one in network.modules() if isinstance(one, nn.Sequential | nn.ModuleList)]:
        layers: list[nn.Module] = []
        for fits, run in groupby(list(parent), _fits):
            same = list(run)
            layers += [Trunk(same)] if fits else same
            found |= fits
        del parent[:]
        parent.extend(layers)
    return found


def _fits(block: nn.Module) -> bool:
    if not isinstance(block, Residual):
        return False
    return all(min(conv.weight.shape[:2]) >= LEAST_CHANNELS for conv, _ in block.halves())
