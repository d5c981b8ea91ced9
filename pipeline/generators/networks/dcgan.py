"""DCGAN: a vector to an image, and the discriminator that mirrors it.

Radford, Metz, Chintala: "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", ICLR 2016, section 3, at the aspect of people. Conditions come into the generator beside the noise and into
the discriminator as a projection (Miyato, Koyama: "cGANs with Projection Discriminator", ICLR 2018, equation 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.generators.networks.blocks import Upsampling

_START_HEIGHT = 8
_KERNEL = 5


class Judgement(NamedTuple):
    """What a discriminator says of N images: scores (N,), unbounded, and logits (N, K) for each condition."""

    scores: Tensor
    guesses: tuple[Tensor, ...]


def start_map(height: int, width: int) -> tuple[int, int, int]:
    """Height and width of the smallest map of a DCGAN for images of ``height`` x ``width``, and the doublings up to it.

    The map is 8 high (up to 15, where the height is no power of two) and as wide as the aspect says: 8 x 4 for people.

    Raises:
        UserError: the image is lower than 16 pixels, or a side is not divisible by 2 to the number of doublings.
    """
    doublings = max((height // _START_HEIGHT).bit_length() - 1, 1)
    step = 2**doublings
    if height < 2 * _START_HEIGHT or height % step or width % step:
        raise UserError(
            f"a DCGAN of {doublings} doublings cannot make {height} x {width} images: both sides must be divisible by "
            f"{step} and the height at least {2 * _START_HEIGHT}; take 64 x 32, 128 x 64 or 256 x 128"
        )
    return height // step, width // step, doublings


def _channels(width: int, doublings: int) -> list[int]:
    """Channels from the smallest map to the last before the image: at most eight times ``width``."""
    return [width * min(2**level, 8) for level in reversed(range(doublings))]


class DCGANGenerator(nn.Module):
    """Vectors (N, ``inputs``) to images (N, 3, H, W) in [-1, 1] of one size.

    A linear layer makes the smallest map (8 ``width`` channels of 8 x 4 pixels for 128 x 64), each doubling is a 5 x 5
    layer of stride 2, batch norm and ReLU; the last ends in tanh. In eval mode batch norm uses what it tracked in
    training, so a row's image depends on that row alone.
    """

    def __init__(
        self, size: tuple[int, int], width: int = 64, inputs: int = 100, upsampling: Upsampling = "transposed"
    ) -> None:
        super().__init__()
        height, breadth, doublings = start_map(*size)
        channels = _channels(width, doublings)
        parts: list[nn.Module] = [
            nn.Linear(inputs, channels[0] * height * breadth),
            nn.Unflatten(1, (channels[0], height, breadth)),
        ]
        for before, after in zip(channels, [*channels[1:], 3], strict=True):
            parts += [nn.BatchNorm2d(before), nn.ReLU(inplace=True), doubling(before, after, upsampling)]
        self.layers = nn.Sequential(*parts, nn.Tanh())

    def forward(self, vectors: Tensor) -> Tensor:
        images: Tensor = self.layers(vectors)
        return images


class DCGANDiscriminator(nn.Module):
    """Images (N, 3, H, W) of one size, and their conditions, to a `Judgement`.

    Each halving is a 5 x 5 convolution of stride 2 with LeakyReLU 0.2, and batch norm in all but the first; a linear
    layer over the smallest map gives the score. ``conditions`` says how many classes each condition has. They come
    as one-hot vectors side by side, (N, sum of ``conditions``); each class adds its own linear function of the
    features, averaged over the map, to the score. With ``guesses``, a second linear layer names each condition from the
    same features.
    """

    def __init__(
        self, size: tuple[int, int], width: int = 64, conditions: Sequence[int] = (), guesses: bool = False
    ) -> None:
        super().__init__()
        height, breadth, doublings = start_map(*size)
        channels = _channels(width, doublings)[::-1]
        parts: list[nn.Module] = []
        for before, after in zip([3, *channels], channels, strict=False):
            parts.append(nn.Conv2d(before, after, _KERNEL, stride=2, padding=_KERNEL // 2))
            if before != 3:
                parts.append(nn.BatchNorm2d(after))
            parts.append(nn.LeakyReLU(0.2, inplace=True))
        self.layers = nn.Sequential(*parts)
        self.score = nn.Linear(channels[-1] * height * breadth, 1)
        self.conditions = tuple(conditions)
        self.projection = nn.Linear(sum(conditions), channels[-1], bias=False) if conditions else None
        self.guess = nn.Linear(channels[-1], sum(conditions)) if conditions and guesses else None

    def forward(self, images: Tensor, conditions: Tensor | None = None) -> Judgement:
        features: Tensor = self.layers(images)
        scores: Tensor = self.score(features.flatten(1)).squeeze(1)
        if self.projection is None:
            return Judgement(scores, ())
        pooled = features.mean(dim=(2, 3))
        scores = scores + (self.projection(conditions) * pooled).sum(dim=1)
        guesses = () if self.guess is None else self.guess(pooled).split(self.conditions, dim=1)
        return Judgement(scores, guesses)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Inside, batch norm uses what it has tracked, and tracks nothing."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def doubling(channels_in: int, channels_out: int, how: Upsampling) -> nn.Module:
    """As `pipeline.generators.networks.blocks.upsample`, of 5 x 5."""
    padding = _KERNEL // 2
    if how == "transposed":
        return nn.ConvTranspose2d(channels_in, channels_out, _KERNEL, stride=2, padding=padding, output_padding=1)
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(channels_in, channels_out, _KERNEL, padding=padding)
    )
