"""People whom a flow is to show in another pose: how they are laid there first, and what a training asks of that.

A flow that sees nothing but a skeleton and a picture elsewhere has to learn where everything goes, and until then shows
the mean of all that could be there: people in haze. Laid limb by limb (`pipeline.generators.puppets`) they are nearly
there. What is left to say, in patches of a few pixels, is learned; the finest detail stays the puppet's, for another
image of the person never shows it in the same pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.generators.backgrounds import pasted
from pipeline.generators.networks.flow import MOVED
from pipeline.generators.puppets import Puppet, joints_of, move_parts
from pipeline.generators.recipes.base import Batch

_SIDE_OF_DETAIL = 64
"""Detail is finer than two pixels for each so many of the image's height."""


def lay(source: Tensor, batch: Batch) -> Puppet:
    """The people of ``source`` (N, 3, H, W) where their rows ask for another pose; all else as it is."""
    moves = batch["reference"] == MOVED
    if not bool(moves.any()):
        return Puppet(source, source, moves)
    own, asked = (joints_of(batch[name]) for name in ("joints", "asked_joints"))
    # Of no joint nothing is moved.
    return move_parts(source, own * moves[:, None, None], asked)


def wanted_of(target: Tensor, mask: Tensor, puppet: Puppet) -> Tensor:
    """(N, 3, H, W): the person of ``target``, by its ``mask`` (N, 1, H, W), in the place of the ``puppet``, before its
    background and with its finest detail. Where no mask is known all of the target is wanted."""
    change = pasted(target, mask, puppet.background) - puppet.image
    side = max(1, round(target.shape[2] / _SIDE_OF_DETAIL))
    for _ in range(2):
        around = functional.pad(change, 4 * (side,), mode="replicate")
        change = functional.avg_pool2d(around, 2 * side + 1, stride=1)
    return torch.as_tensor(puppet.image + change)
