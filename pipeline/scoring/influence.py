"""How a training row acts on the loss of rows that are watched: the inner product of two gradients.

TracIn (Pruthi, Liu, Kale, Sundararajan, "Estimating Training Data Influence by Tracing Gradient Descent", NeurIPS 2020,
section 3.2)::

    influence(z, V) = sum over checkpoints of  grad L(z) . grad L(V)

A step along the row's gradient lowers the watched loss where it is positive. The product is a directional derivative,
that of the row's loss along the watched gradient, so that one forward-mode pass gives it for a whole batch, and no
row's gradient is ever formed. The row's loss is that of the training: cross-entropy against its soft label.

People whom the network's classes name are watched by that same loss, over the weights of the classifier alone (the last
layer, as the authors take for large networks): a row that shows somebody else pulls against all that they show.
Strangers are no classes. Their loss is that of finding them (Snell, Swersky, Zemel, "Prototypical Networks for Few-shot
Learning", NeurIPS 2017, equation 2): the cross-entropy of a softmax over the cosines to everybody's centre, an image's
own centre being that of the person's images by other cameras (by all cameras, itself left out, where there are none).
It goes over all other weights, and says what features are worth and little of whose they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, jvp

from pipeline.common.tensors import to_signed
from pipeline.measures.reliability import IdentityGallery, fit_temperature
from pipeline.reid.evaluation import Features, Numbers
from pipeline.reid.model import Images, ReidModel

Weights = dict[str, Tensor]
_Loss = Callable[[Weights], Tensor]
"""The sum of some images' losses, as a function of some of the weights."""
_LAST_LAYER = "classifier.weight"


@dataclass(frozen=True)
class Known:
    """People whom the classes name: ``images`` (N, H, W, 3) uint8 at the network's size, ``classes`` (N,)."""

    images: Images
    classes: Numbers

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Strangers:
    """People whom no class names: ``images`` (N, H, W, 3) uint8 at the network's size, ``identities`` (N,) numbered
    from 0 without gaps, ``cameras`` (N,), -1 where unknown.

    Raises:
        ValueError: fewer than two people are seen twice, so that nobody can be found among others.
    """

    images: Images
    identities: Numbers
    cameras: Numbers

    def __post_init__(self) -> None:
        if (np.bincount(self.identities) > 1).sum() < 2:
            raise ValueError("fewer than two people are seen twice")

    def __len__(self) -> int:
        return len(self.images)


class Influence:
    """What rows do to the mean loss of ``known`` people and ``strangers``, by one network in eval mode."""

    def __init__(self, model: ReidModel, known: Known | None, strangers: Strangers | None) -> None:
        self.model = model
        self._device = next(model.network.parameters()).device
        self._weights = {name: one.detach() for name, one in model.network.named_parameters()}
        count = sum(len(one) for one in (known, strangers) if one is not None)
        self.direction: Weights = {}
        """The gradient of the mean loss, by the name of the weights."""
        if known is not None:
            self.direction |= self._gradient([_LAST_LAYER], self._known_losses(known), count)
        if strangers is not None:
            trunk = [name for name in self._weights if name != _LAST_LAYER]
            self.direction |= self._gradient(trunk, self._stranger_losses(strangers), count)

    def of(self, images: Images, targets: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N,): the influence of rows with ``images`` (N, H, W, 3), at the network's size, and ``targets`` (N, K)."""
        at = {name: self._weights[name] for name in self.direction}
        parts = []
        for rows in _batches(len(images), self.model.batch_size):
            pixels, wanted = to_signed(images[rows], self._device), torch.from_numpy(targets[rows]).to(self._device)

            def losses(weights: Weights, pixels: Tensor = pixels, wanted: Tensor = wanted) -> Tensor:
                return F.cross_entropy(self._call(weights, pixels, "logits"), wanted, reduction="none")

            slopes: Tensor = jvp(losses, (at,), (self.direction,))[1]
            parts.append(slopes.double().cpu().numpy())
        return np.concatenate(parts) if parts else np.empty(0)

    def _call(self, weights: Weights, pixels: Tensor, what: str) -> Tensor:
        """The network's ``what`` with some of its ``weights`` in the place of its own."""
        named = {f"network.{name}": one for name, one in weights.items()}
        found: Tensor = functional_call(_Method(self.model.network, what), named, (pixels,))
        return found

    def _gradient(self, names: list[str], losses: Iterator[_Loss], count: int) -> Weights:
        """Of the sum of ``losses`` over ``count``."""
        weights = {name: self._weights[name].clone().requires_grad_(True) for name in names}
        for loss in losses:
            (loss(weights) / count).backward()
        return {name: torch.zeros_like(one) if one.grad is None else one.grad for name, one in weights.items()}

    def _known_losses(self, known: Known) -> Iterator[_Loss]:
        for rows in _batches(len(known), self.model.batch_size):
            pixels = to_signed(known.images[rows], self._device)
            classes = torch.from_numpy(known.classes[rows]).to(self._device)

            def loss(weights: Weights, pixels: Tensor = pixels, classes: Tensor = classes) -> Tensor:
                return F.cross_entropy(self._call(weights, pixels, "logits"), classes, reduction="sum")

            yield loss

    def _stranger_losses(self, strangers: Strangers) -> Iterator[_Loss]:
        features = self.model.embed(strangers.images)
        gallery = IdentityGallery(features, strangers.identities)
        twice = np.flatnonzero(np.bincount(strangers.identities)[strangers.identities] > 1)
        temperature = fit_temperature(gallery, twice)
        centres = torch.from_numpy(_unit(gallery.sums)).float().to(self._device)
        own_centres = torch.from_numpy(own_centre_of_each(features, strangers)).float().to(self._device)
        for part in _batches(len(twice), self.model.batch_size):
            rows = twice[part]
            pixels = to_signed(strangers.images[rows], self._device)
            own = torch.from_numpy(strangers.identities[rows]).to(self._device)

            def loss(
                weights: Weights, pixels: Tensor = pixels, own: Tensor = own, own_centre: Tensor = own_centres[rows]
            ) -> Tensor:
                found = self._call(weights, pixels, "embed")
                to_own = (found * own_centre).sum(dim=1, keepdim=True)
                cosines = (found @ centres.T).scatter(1, own[:, None], to_own)
                return F.cross_entropy(cosines / temperature, own, reduction="sum")

            yield loss


class _Method(nn.Module):
    """A method of a network as a module of its own, which `functional_call` asks for."""

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.network, self._name = network, name

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = getattr(self.network, self._name)(images)
        return found


def own_centre_of_each(features: Features, strangers: Strangers) -> NDArray[np.float64]:
    """(N, D), of length 1: for each image the centre of its person's images by other cameras; of all others but itself
    where there are none; zero where the person has no other image."""
    centres = np.zeros(features.shape, np.float64)
    for person in np.unique(strangers.identities):
        rows = np.flatnonzero(strangers.identities == person)
        cameras = strangers.cameras[rows]
        for row, camera in zip(rows, cameras, strict=True):
            others = rows[(cameras != camera) & (camera >= 0)]
            others = others if len(others) else rows[rows != row]
            centres[row] = features[others].sum(axis=0)
    return _unit(centres)


def _batches(rows: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, rows, size))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))
