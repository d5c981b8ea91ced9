"""The network of a flow between noise and images: a U-Net that is told time, camera and pose, and looks at a reference.

pix2pix's form (Isola et al., CVPR 2017, appendix 6.1), which learns in few steps, with what is told behind each norm
(Dumoulin et al., ICLR 2017, equation 5) and a refining block at each level. The reference stands beside what is
denoised, its person moved where the pose asks for another; for all else attention finds what belongs where.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.generators.backgrounds import Backgrounds
from pipeline.generators.networks.blocks import InstanceNorm

NOTHING, MOVED, ITSELF = range(3)
"""What the reference is: there is none; an image whose person is to be moved; an image that is to be changed."""
SPANS = 5
"""Lengths of a step that the network knows: 0 (how fast it goes now), 1/8, 1/4, 1/2 and 1, by number."""

_MOST_WIDE = 4
_HEAD = 32
_FREQUENCIES = 6
_ATTENDED = (16, 32 * 16)
"""Places of the levels at which the reference is looked at: from, to."""
_INPUTS = 3 + 3 + 3


class FlowNetwork(nn.Module):
    """``seen = look(source)`` once for an image; then for each time ``forward(noisy, ..., seen)``.

    Sides that are no multiple of what the halvings need are padded, and what comes out is cut.
    """

    def __init__(self, size: tuple[int, int], cameras: int, width: int = 48, backgrounds: Sequence[int] = ()) -> None:
        """``cameras``: how many there are beside the one that is not said; ``backgrounds``: how many are kept of the
        first of them, each, for whoever prepares what goes in."""
        super().__init__()
        self.backgrounds = Backgrounds(backgrounds, size) if backgrounds else None
        widths = [width * min(2**level, _MOST_WIDE) for level in range(_halvings(size))]
        told = 4 * width
        self.divisor = 2 ** len(widths)
        self.cameras = nn.Embedding(cameras + 1, told)
        self.references = nn.Embedding(3, told)
        self.spans = nn.Embedding(SPANS, told)
        self.time = nn.Linear(2 * _FREQUENCIES, told)
        self.tell = nn.Sequential(nn.SiLU(), nn.Linear(told, told), nn.SiLU())
        places = [math.prod(size) // 4 ** (level + 1) for level in range(len(widths))]
        attends = [_ATTENDED[0] <= count <= _ATTENDED[1] for count in places]
        # The first and the last layer have no norm, which would hide how bright an image is.
        self.reference, self.down = (
            nn.ModuleList(
                [_Down(before, after, words, at > 0) for at, (before, after) in enumerate(pairwise([first, *widths]))]
            )
            for first, words in ((3, 0), (_INPUTS + 2, told))
        )
        self.attention = nn.ModuleList(
            [_Attention(wide) if one else nn.Identity() for wide, one in zip(widths, attends, strict=True)]
        )
        above = [width, *widths[:-1]]
        below = [*(2 * wide for wide in widths[:-1]), widths[-1]]
        self.up = nn.ModuleList(
            [_Up(before, after, told, at > 0) for at, (before, after) in enumerate(zip(below, above, strict=True))]
        )
        self.pass_on = nn.Linear(told, _INPUTS)
        self.to_image = nn.Conv2d(width + _INPUTS, 3, 3, padding=1)

    def look(self, source: Tensor) -> list[Tensor]:
        """What is seen of reference images (N, 3, H, W) in [-1, 1], at each level."""
        seen, made = [], self._padded(source)
        for level in self.reference:
            made = level(made, None)
            seen.append(made)
        return seen

    def forward(
        self,
        noisy: Tensor,
        time: Tensor,
        span: Tensor,
        start: Tensor,
        reference: Tensor,
        skeleton: Tensor,
        camera: Tensor,
        seen: list[Tensor],
    ) -> Tensor:
        """(N, 3, H, W): ``noisy`` of unit variance, ``start`` and the drawn ``skeleton`` in [-1, 1]; (N,): ``time`` in
        [0, 1), the numbers of ``span``, ``camera`` and ``reference``. Returns (N, 3, H, W) of unit variance."""
        height, width = noisy.shape[2:]
        given = self._padded(torch.cat([noisy, start, skeleton], dim=1))
        told = self._told(time, span, camera, reference, noisy.dtype)
        made = torch.cat([given, _places(given)], dim=1)
        kept: list[Tensor] = []
        for level, attention, part in zip(self.down, self.attention, seen, strict=True):
            made = level(made, told)
            made = attention(made, part) if isinstance(attention, _Attention) else made
            kept.append(made)
        made = self.up[-1](kept[-1], told)
        for level, part in zip(reversed(self.up[:-1]), reversed(kept[:-1]), strict=True):
            made = level(torch.cat([made, part], dim=1), told)
        # What is finer than the levels see reaches the image as it is; how much of it is noise, the time says.
        passed = given * self.pass_on(told)[:, :, None, None]
        image: Tensor = self.to_image(torch.cat([made, passed], dim=1))
        return image[:, :, :height, :width]

    def _padded(self, images: Tensor) -> Tensor:
        below, beside = (-side % self.divisor for side in images.shape[2:])
        if not below and not beside:
            return images
        return functional.pad(images, (0, beside, 0, below), mode="replicate")

    def _told(self, time: Tensor, span: Tensor, camera: Tensor, reference: Tensor, dtype: torch.dtype) -> Tensor:
        turns = 2.0 ** torch.arange(_FREQUENCIES, device=time.device) * torch.pi / 2
        angles = time.float()[:, None] * turns
        waves = torch.cat([angles.sin(), angles.cos()], dim=1).to(dtype)
        words = self.time(waves) + self.spans(span) + self.cameras(camera) + self.references(reference)
        return cast(Tensor, self.tell(words))


class _Told(nn.Module):
    """A norm, then what is told as gain and offset; nothing is where ``told`` is 0."""

    def __init__(self, channels: int, told: int, normed: bool = True) -> None:
        super().__init__()
        self.norm = InstanceNorm() if normed else nn.Identity()
        self.say = nn.Linear(told, 2 * channels) if told else None

    def forward(self, images: Tensor, told: Tensor | None) -> Tensor:
        normed: Tensor = self.norm(images)
        if self.say is None or told is None:
            return normed
        gain, offset = self.say(told)[:, :, None, None].chunk(2, dim=1)
        return normed * (1 + gain) + offset


class _Refine(nn.Module):
    """A convolution added to what came in."""

    def __init__(self, channels: int, told: int) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(channels, channels, 3, padding=1), _Told(channels, told)

    def forward(self, images: Tensor, told: Tensor | None) -> Tensor:
        return images + functional.silu(self.norm(self.convolution(images), told))


class _Down(nn.Module):
    """Half the size, then refined."""

    def __init__(self, before: int, after: int, told: int, normed: bool = True) -> None:
        super().__init__()
        self.halve, self.norm = nn.Conv2d(before, after, 4, stride=2, padding=1), _Told(after, told, normed)
        self.refine = _Refine(after, told)

    def forward(self, images: Tensor, told: Tensor | None) -> Tensor:
        made: Tensor = self.refine(functional.silu(self.norm(self.halve(images), told)), told)
        return made


class _Up(nn.Module):
    """Refined at this size, then twice the size."""

    def __init__(self, before: int, after: int, told: int, normed: bool = True) -> None:
        super().__init__()
        self.join, self.norm = nn.Conv2d(before, after, 3, padding=1), _Told(after, told)
        self.grow, self.grown = nn.Conv2d(after, after, 3, padding=1), _Told(after, told, normed)

    def forward(self, images: Tensor, told: Tensor) -> Tensor:
        made = functional.silu(self.norm(self.join(images), told))
        made = functional.interpolate(made, scale_factor=2.0, mode="nearest")
        return functional.silu(self.grown(self.grow(made), told))


class _Attention(nn.Module):
    """Each place of an image takes what it needs from all places of the reference, which is of the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // _HEAD)
        self.ask, self.answer = nn.Conv2d(channels + 2, channels, 1), nn.Conv2d(channels + 2, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, images: Tensor, seen: Tensor) -> Tensor:
        rows, channels, height, width = images.shape
        places = _places(images)
        keys, values = self.answer(torch.cat([seen, places], dim=1)).chunk(2, dim=1)
        asked, keys, values = (
            part.reshape(rows, self.heads, channels // self.heads, -1).transpose(2, 3)
            for part in (self.ask(torch.cat([images, places], dim=1)), keys, values)
        )
        found = functional.scaled_dot_product_attention(asked, keys, values)
        return cast(Tensor, images + self.out(found.transpose(2, 3).reshape(rows, channels, height, width)))


def start(network: FlowNetwork, generator: torch.Generator) -> FlowNetwork:
    """Weights by which variance passes; the image begins as nothing, and all lengths of a step begin alike."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(module.weight, 0.0, module.weight[0].numel() ** -0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, generator=generator)
    for silent in (network.to_image, network.spans):
        nn.init.zeros_(silent.weight)
    return network


def _halvings(size: tuple[int, int]) -> int:
    """Until the shorter side is 2, at least 2."""
    return max(2, int(math.log2(min(size))) - 1)


def _places(images: Tensor) -> Tensor:
    """(N, 2, H, W): how far down and how far right each pixel is, from -1 to 1."""
    rows, _, height, width = images.shape
    down = torch.linspace(-1, 1, height, device=images.device, dtype=images.dtype)
    right = torch.linspace(-1, 1, width, device=images.device, dtype=images.dtype)
    both = torch.stack([down[:, None].expand(height, width), right[None].expand(height, width)])
    return both.expand(rows, 2, height, width)
