"""What a flow is told of an image: a reference, a pose, a camera; and what it then has to make."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

from pipeline.generators.networks.flow import NOTHING
from pipeline.generators.recipes.base import Batch
from pipeline.generators.recipes.flow.path import wide

_BLACK = -1.0


class Told(NamedTuple):
    """``source``, ``start`` and ``skeleton`` (N, 3, H, W) in [-1, 1], ``reference`` and ``camera`` (N,)."""

    source: Tensor
    """What is looked at."""
    start: Tensor
    """What is changed: the source, its person moved where another pose is asked for."""
    reference: Tensor
    skeleton: Tensor
    camera: Tensor

    @classmethod
    def of(cls, source: Tensor, start: Tensor, batch: Batch) -> Self:
        """Of the rows of a batch."""
        return cls(source, start, batch["reference"], batch["skeleton"].float(), batch["camera"])

    def without(self, left_out: Tensor, nowhere: int) -> Told:
        """The same with what is left out of each row; ``left_out`` (3, N) bool: reference, pose, camera."""
        reference, pose, camera = left_out
        return Told(
            torch.where(wide(reference), 0.0, self.source),
            torch.where(wide(reference), 0.0, self.start),
            torch.where(reference, NOTHING, self.reference),
            torch.where(wide(pose), _BLACK, self.skeleton),
            torch.where(camera, nowhere, self.camera),
        )

    def untold(self, nowhere: int) -> Told:
        """The same with pose and camera left out; not what is changed, without which a change means nothing."""
        nothing = torch.zeros_like(self.reference, dtype=torch.bool)
        return self.without(torch.stack([nothing, ~nothing, ~nothing]), nowhere)

    def first(self, rows: int) -> Told:
        """Of the first so many rows."""
        return Told(*(part[:rows] for part in self))

    def inner(self, image: Tensor) -> Tensor:
        """y of images (N, 3, H, W): what changes, or of somebody new they themselves."""
        return torch.where(wide(self.changes), image - self.start, image)

    def outer(self, inner: Tensor) -> Tensor:
        """Images of y."""
        return torch.where(wide(self.changes), self.start + inner, inner)

    @property
    def changes(self) -> Tensor:
        """(N,): whether there is something that is changed."""
        return self.reference != NOTHING
