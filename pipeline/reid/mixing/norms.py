"""Batch norms of their own for generated images, in training: statistics of two kinds of images are not mixed.

After Xie et al., "Adversarial Examples Improve Image Recognition" (AdvProp, CVPR 2020, section 4.1), as Yu et al.
(arXiv 2312.02253) took it up for synthetic images: whole layers, with a scale and shift of their own. What is trained
for is real images, so a trained network keeps its own layers and is of the same shape as any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class GeneratedNorms:
    """A second layer for each batch norm of a network; all else is shared.

    The kind of images that joins the training later begins with the scale and shift that the other kind has learned:
    the convolutions have moved with those.
    """

    def __init__(self, network: nn.Module) -> None:
        paths = [path.rpartition(".") for path, layer in network.named_modules() if isinstance(layer, _BatchNorm)]
        self._places = [(network.get_submodule(parent), name) for parent, _, name in paths]
        self._own = nn.ModuleList(getattr(*place) for place in self._places)
        self.layers = deepcopy(self._own)
        """In the order of the network's modules."""
        self._before = _batches(self.layers)

    def join(self, real: bool, generated: bool) -> None:
        """Before a step with those kinds of images: the one that joins with it takes over from the other.

        Which does is read off the batches that the layers have counted, so that a training taken up again does alike.
        """
        own, made = (_batches(layers) - self._before for layers in (self._own, self.layers))
        if generated and own and not made:
            _take_over(self.layers, self._own)
        if real and made and not own:
            _take_over(self._own, self.layers)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the network normalises by these layers, in training where its own are."""
        try:
            for (parent, name), own, layer in zip(self._places, self._own, self.layers, strict=True):
                setattr(parent, name, layer.train(own.training))
            yield
        finally:
            for (parent, name), own in zip(self._places, self._own, strict=True):
                setattr(parent, name, own)


def _batches(layers: nn.ModuleList) -> int:
    """How many the layers have seen in training, ever."""
    return int(layers[0].get_buffer("num_batches_tracked"))


@torch.no_grad()
def _take_over(layers: nn.ModuleList, others: nn.ModuleList) -> None:
    """Give ``layers`` the scale and shift of ``others``."""
    for mine, theirs in zip(layers.parameters(), others.parameters(), strict=True):
        mine.copy_(theirs)
