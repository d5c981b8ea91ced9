"""What a training step asks a flow for: the images that should come out, what is told of them, and how errors count."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.generators.backgrounds import pasted
from pipeline.generators.losses.detail import detailed_absolutes, detailed_squares
from pipeline.generators.networks.flow import MOVED
from pipeline.generators.recipes.base import Batch
from pipeline.generators.recipes.flow.moved import lay, wanted_of
from pipeline.generators.recipes.flow.path import wide
from pipeline.generators.recipes.flow.told import Told


class Asked(NamedTuple):
    """``image`` (N, 3, H, W) in [-1, 1]; ``mask`` (N, 1, H, W) of its people; ``known``, of the same shape: where its
    finest detail counts; ``moved`` (N,): whose person was moved.

    Of a moved person all detail counts, else what the batch knows: an image's own, also where that reference is left
    out."""

    image: Tensor
    mask: Tensor
    known: Tensor
    moved: Tensor

    def errors(self, error: Tensor, mask_weight: float, detail_weight: float) -> Tensor:
        """(N,): of ``error`` (N, 3, H, W), absolute where people were moved, else squared."""
        told = error, 1 + mask_weight * self.mask, self.known, detail_weight
        return torch.where(self.moved, detailed_absolutes(*told), detailed_squares(*told))


def asked_of(batch: Batch, left_out: Tensor, nowhere: int) -> tuple[Told, Asked]:
    """What is told of a training's batch but what is ``left_out`` (3, N), and what is asked for. Whose person cannot be
    moved has no reference."""
    source = pasted(batch["source"], batch["mask"], batch["background"])
    puppet = lay(source, batch)
    unmoved = (batch["reference"] == MOVED) & ~puppet.whole
    reference, *rest = left_out
    told = Told.of(source, puppet.image, batch).without(torch.stack([reference | unmoved, *rest]), nowhere)
    moved = told.reference == MOVED
    image = torch.where(wide(moved), wanted_of(batch["target"], batch["mask"], puppet), batch["target"])
    known = torch.where(wide(moved), 1.0, batch["known"].float())
    return told, Asked(image, batch["mask"], known, moved)
