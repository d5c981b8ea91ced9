"""People whom a flow is to show in another pose: how they are laid there first, and what a training asks of that.

A flow that sees nothing but a skeleton and a picture elsewhere has to learn where everything goes, and until then shows
the mean of all that could be there: people in haze. Laid limb by limb (`pipeline.generators.puppets`) they are nearly
there. What is left to say, in patches of a few pixels, is learned; the finest detail stays the puppet's, and so does
its outline where that is nearly right, for another image of the person never shows them in the same pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.generators.backgrounds import matted, nobody_in
from pipeline.generators.networks.flow import MOVED
from pipeline.generators.puppets import Puppet, joints_of, move_parts
from pipeline.generators.recipes.base import Batch

_SEEN = 0.5
"""Share of a pixel from which on its colour says that of the person."""
_SIDE_OF_DETAIL = 64
"""Detail is finer than two pixels for each so many of the image's height."""


def lay(source: Tensor, batch: Batch) -> Puppet:
    """The people of ``source`` (N, 3, H, W) where their rows ask for another pose; all else as it is."""
    moves = batch["reference"] == MOVED
    if not bool(moves.any()):
        return Puppet(source, source, torch.zeros_like(source[:, :1]), moves)
    own, asked = (joints_of(batch[name]) for name in ("joints", "asked_joints"))
    # Of no joint nothing is moved.
    return move_parts(source, own * moves[:, None, None], asked)


def wanted_of(target: Tensor, mask: Tensor, puppet: Puppet) -> Tensor:
    """(N, 3, H, W): the ``puppet`` in the colours of the person of ``target``, whose ``mask`` is (N, 1, H, W); where
    only one of both is, the person, or else the background. Where no mask is known all of the target is wanted, with
    the finest detail of the puppet.

    A puppet's outline is none of its detail: only people are compared, without what either stands before.
    """
    unknown = nobody_in(mask)
    share, mask = puppet.share.masked_fill(unknown, 1.0), mask.masked_fill(unknown, 1.0)
    background = torch.where(unknown, puppet.image, puppet.background)
    # Their own colours, where a pixel shows them and what they stand before.
    person = background + (puppet.image - background) / share.clamp(min=_SEEN)
    laid = torch.lerp(background, person + _smoothed(target - person, share * mask), share)
    return torch.lerp(laid, matted(target, mask, background), _apart(share, mask))


def _apart(share: Tensor, mask: Tensor) -> Tensor:
    """(N, 1, H, W) in [0, 1]: where only one of both is, in more than two pixels side by side, and a pixel around. How
    wide somebody is to a pixel no pose says; a flow that had to learn it would leave outlines in haze."""
    one = ((share > _SEEN) != (mask > _SEEN)).to(mask.dtype)
    thick = -functional.max_pool2d(-one, 3, stride=1, padding=1)
    return functional.avg_pool2d(functional.max_pool2d(thick, 5, stride=1, padding=2), 3, stride=1, padding=1)


def _smoothed(images: Tensor, weight: Tensor) -> Tensor:
    """(N, C, H, W) without their finest detail, by means of pixels around, each with its ``weight`` (N, 1, H, W)."""
    side = max(1, round(images.shape[2] / _SIDE_OF_DETAIL))
    total = torch.cat([images * weight, weight], dim=1)
    for _ in range(2):
        total = functional.avg_pool2d(functional.pad(total, 4 * (side,), mode="replicate"), 2 * side + 1, stride=1)
    return total[:, :-1] / total[:, -1:].clamp(min=1e-3)
