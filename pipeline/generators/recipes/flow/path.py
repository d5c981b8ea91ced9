"""The path of a flow from noise to images, and what its network has to say at each place of it.

x_t = t y + (1 - t) e, with noise e of unit variance and an image y; what is said of y is split so that what goes in and
out of the network is of unit variance (Karras et al., "Elucidating the Design Space of Diffusion-Based Generative
Models", NeurIPS 2022, section 5, for this path)::

    y^ = c_skip(t) x_t + c_out(t) F(c_in(t) x_t, ...)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def wide(numbers: Tensor) -> Tensor:
    """(N,) -> (N, 1, 1, 1)."""
    return numbers.view(-1, 1, 1, 1)


def mixed(time: Tensor, image: Tensor, noise: Tensor) -> Tensor:
    """x_t (N, 3, H, W) at ``time`` (N,) in [0, 1]."""
    return wide(time) * image + wide(1 - time) * noise


class FlowPath(NamedTuple):
    """``deviation``: the standard deviation of images."""

    deviation: float

    def shown(self, noisy: Tensor, time: Tensor) -> Tensor:
        """c_in x_t, of unit variance."""
        return self._variance(time).rsqrt() * noisy

    def image(self, noisy: Tensor, time: Tensor, found: Tensor) -> Tensor:
        """y^ by what the network ``found``, F."""
        skip, out = self._split(time)
        return skip * noisy + out * found

    def speed(self, noisy: Tensor, time: Tensor, found: Tensor) -> Tensor:
        """v = (y^ - x_t) / (1 - t), at times before 1."""
        return (self.image(noisy, time, found) - noisy) / wide(1 - time)

    def led_to(self, noisy: Tensor, time: Tensor, image: Tensor) -> Tensor:
        """F by which y^ is ``image``, at times before 1."""
        skip, out = self._split(time)
        return (image - skip * noisy) / out

    def wanted(self, time: Tensor, image: Tensor, noise: Tensor) -> Tensor:
        """F by which y^ is the image of x_t, written so that nothing is divided by 0 at t = 1."""
        t, deviation = wide(time), self.deviation
        return ((1 - t) * image - deviation**2 * t * noise) / (deviation * self._variance(time).sqrt())

    def _split(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """c_skip, c_out, each (N, 1, 1, 1)."""
        t, variance = wide(time), self._variance(time)
        return self.deviation**2 * t / variance, self.deviation * (1 - t) / variance.sqrt()

    def _variance(self, time: Tensor) -> Tensor:
        """Of x_t."""
        t = wide(time)
        return torch.as_tensor((1 - t) ** 2 + (self.deviation * t) ** 2)
