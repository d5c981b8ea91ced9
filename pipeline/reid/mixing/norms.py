"""Batch norms of their own for generated images, in training: statistics of two kinds of images are not mixed.

After Xie et al., "Adversarial Examples Improve Image Recognition" (AdvProp, CVPR 2020, section 4.1), as Yu et al.
(arXiv 2312.02253) took it up for synthetic images: whole layers, with a scale and shift of their own. What is trained
for is real images, so a trained network keeps its own layers and is of the same shape as any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class GeneratedNorms:
    """A second layer for each batch norm of a network, at first equal to it; all else is shared."""

    def __init__(self, network: nn.Module) -> None:
        paths = [path.rpartition(".") for path, layer in network.named_modules() if isinstance(layer, _BatchNorm)]
        self._places = [(network.get_submodule(parent), name) for parent, _, name in paths]
        self._own = [getattr(*place) for place in self._places]
        self.layers = nn.ModuleList(deepcopy(self._own))
        """In the order of the network's modules."""

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
