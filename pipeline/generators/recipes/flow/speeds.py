"""How fast a network leads to an image at a place of the path, and how far its steps get."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

from pipeline.generators.networks.flow import FlowNetwork
from pipeline.generators.recipes.flow.moments import length_of
from pipeline.generators.recipes.flow.path import FlowPath, wide
from pipeline.generators.recipes.flow.told import Told


class Speeds(NamedTuple):
    """Of a network that is told something of N images; x_t (N, 3, H, W), t and the number of d (N,)."""

    network: FlowNetwork
    path: FlowPath
    told: Told
    seen: list[Tensor]
    """What the network sees of the references, whatever the time."""

    @classmethod
    def of(cls, network: FlowNetwork, path: FlowPath, told: Told) -> Self:
        return cls(network, path, told, network.look(told.source.to(_dtype(network))))

    def found(self, noisy: Tensor, time: Tensor, span: Tensor) -> Tensor:
        """F (N, 3, H, W)."""
        dtype, told = _dtype(self.network), self.told
        start, skeleton = told.start.to(dtype), told.skeleton.to(dtype)
        shown = self.path.shown(noisy, time).to(dtype)
        made: Tensor = self.network(shown, time, span, start, told.reference, skeleton, told.camera, self.seen)
        return made

    def speed(self, noisy: Tensor, time: Tensor, span: Tensor) -> Tensor:
        """v (N, 3, H, W)."""
        return self.path.speed(noisy, time, self.found(noisy, time, span).float())

    def two_steps(self, noisy: Tensor, time: Tensor, span: Tensor) -> Tensor:
        """F for one step of the length of number ``span`` that leads as far as two of its half do."""
        half, shorter = length_of(span) / 2, span - 1  # half of the shortest is told as 0: as fast as it goes now
        first = self.speed(noisy, time, shorter)
        second = self.speed(noisy + wide(half) * first, time + half, shorter)
        return self.path.led_to(noisy, time, noisy + wide(1 - time) * (first + second) / 2)


class GuidedSpeeds(NamedTuple):
    """Led further away from where it would go untold (Ho, Salimans 2022, equation 6)."""

    speeds: Speeds
    untold: Speeds | None
    weight: float

    @classmethod
    def of(cls, network: FlowNetwork, path: FlowPath, told: Told, weight: float, nowhere: int) -> Self:
        """``weight`` of what is told, 1: not led; ``nowhere``: the number of no camera."""
        untold = None if weight == 1 else Speeds.of(network, path, told.untold(nowhere))
        return cls(Speeds.of(network, path, told), untold, weight)

    def speed(self, noisy: Tensor, time: Tensor, span: Tensor) -> Tensor:
        """v (N, 3, H, W)."""
        speed = self.speeds.speed(noisy, time, span)
        if self.untold is None:
            return speed
        free = self.untold.speed(noisy, time, span)
        return free + self.weight * (speed - free)


def _dtype(network: FlowNetwork) -> torch.dtype:
    return next(network.parameters()).dtype
