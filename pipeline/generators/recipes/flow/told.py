"""What a flow is told of an image: a reference, a pose, a camera; and what it then has to make."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

from pipeline.generators.backgrounds import pasted
from pipeline.generators.networks.flow import ITSELF, NOTHING
from pipeline.generators.recipes.base import Batch
from pipeline.generators.recipes.flow.path import wide

_BLACK = -1.0


class Told(NamedTuple):
    """``source`` and ``skeleton`` (N, 3, H, W) in [-1, 1], ``reference`` and ``camera`` (N,)."""

    source: Tensor
    reference: Tensor
    skeleton: Tensor
    camera: Tensor

    @classmethod
    def learning(cls, batch: Batch) -> Self:
        """Of the images of a training's batch: their people stand before the backgrounds that go with them."""
        source = pasted(batch["source"], batch["mask"], batch["background"])
        return cls(source, batch["reference"], batch["skeleton"], batch["camera"])

    def without(self, left_out: Tensor, nowhere: int) -> Told:
        """The same with what is left out of each row; ``left_out`` (3, N) bool: reference, pose, camera."""
        source, pose, camera = left_out
        return Told(
            torch.where(source[:, None, None, None], 0.0, self.source),
            torch.where(source, NOTHING, self.reference),
            torch.where(pose[:, None, None, None], _BLACK, self.skeleton),
            torch.where(camera, nowhere, self.camera),
        )

    def untold(self, nowhere: int) -> Told:
        """The same with all left out, but for an image that is to be changed: of that, what changes means nothing
        without it."""
        left_out = [self.reference != ITSELF, *2 * [torch.ones_like(self.reference, dtype=torch.bool)]]
        return self.without(torch.stack(left_out), nowhere)

    def first(self, rows: int) -> Told:
        """Of the first so many rows."""
        return Told(*(part[:rows] for part in self))

    def inner(self, image: Tensor) -> Tensor:
        """y of images (N, 3, H, W): they themselves, or what changes."""
        return torch.where(wide(self.reference) == ITSELF, image - self.source, image)

    def outer(self, inner: Tensor) -> Tensor:
        """Images of y."""
        return torch.where(wide(self.reference) == ITSELF, self.source + inner, inner)
