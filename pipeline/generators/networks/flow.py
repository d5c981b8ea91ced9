"""The network of a flow between noise and images: a U-Net that is told time, camera and pose, and looks at a reference.

A U-Net as diffusion models use it (Dhariwal, Nichol, "Diffusion Models Beat GANs on Image Synthesis", NeurIPS 2021,
section 3), in pixels, at half of their size. Where the reference is the image itself it stands beside what is
denoised; where it is another image of the person, attention finds what belongs where.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

NOTHING, ANOTHER, ITSELF = range(3)
"""What the reference is: there is none; another image of the person; the image that is to be changed."""
SPANS = 5
"""Lengths of a step that the network knows: 0 (how fast it goes now), 1/8, 1/4, 1/2 and 1, by number."""

_MOST_WIDE = 4
_HEAD = 32
_FREQUENCIES = 6
_ATTENDING = 2
"""Levels, the coarsest, at which the reference is looked at."""


def halvings(size: tuple[int, int]) -> int:
    """How many levels there are for images of ``size`` (height, width): until the shorter side is 4, at least 2."""
    return max(2, int(math.log2(max(min(size), 8))) - 2)


class FlowNetwork(nn.Module):
    """``seen = look(source, reference)`` once for an image; then for each time ``forward(noisy, ..., seen)``.

    Sides that are no multiple of what the halvings need are padded, and what comes out is cut.
    """

    def __init__(self, size: tuple[int, int], cameras: int, width: int = 64) -> None:
        """``cameras``: how many there are beside the one that is not said."""
        super().__init__()
        levels = halvings(size)
        widths = [width * min(2**level, _MOST_WIDE) for level in range(levels)]
        told = 4 * width
        self.divisor = 2**levels
        self.cameras = nn.Embedding(cameras + 1, told)
        self.references = nn.Embedding(3, told)
        self.spans = nn.Embedding(SPANS, told)
        self.time = nn.Linear(2 * _FREQUENCIES, told)
        self.tell = nn.Sequential(nn.SiLU(), nn.Linear(told, told), nn.SiLU())
        attending = [level >= levels - _ATTENDING for level in range(levels)]
        self.reference = _Encoder(3, widths)
        self.encoder = _Encoder(9, widths, told, attending)
        self.middle = _Block(widths[-1], widths[-1], told)
        self.decoder = nn.ModuleList(
            [
                _Level(2 * wide, wide, told, attends)
                for wide, attends in zip(reversed(widths), reversed(attending), strict=True)
            ]
        )
        self.up = nn.ModuleList([nn.Conv2d(below, above, 3, padding=1) for below, above in pairwise(reversed(widths))])
        self.norm = _norm(width)
        self.pass_on = nn.Linear(told, 4 * 9)
        self.to_image = nn.Conv2d(width + 4 * 9, 4 * 3, 3, padding=1)

    def look(self, source: Tensor) -> list[Tensor]:
        """What is seen of reference images (N, 3, H, W) in [-1, 1], at each level."""
        return self.reference(self._folded(source), None, None)

    def forward(
        self,
        noisy: Tensor,
        time: Tensor,
        span: Tensor,
        source: Tensor,
        reference: Tensor,
        skeleton: Tensor,
        camera: Tensor,
        seen: list[Tensor],
    ) -> Tensor:
        """(N, 3, H, W): ``noisy`` of unit variance, ``source`` and the drawn ``skeleton`` in [-1, 1]; (N,): ``time`` in
        [0, 1), the numbers of ``span``, ``camera`` and ``reference``. Returns (N, 3, H, W) of unit variance."""
        height, width = noisy.shape[2:]
        beside = source * (reference == ITSELF)[:, None, None, None].to(source.dtype)
        folded = self._folded(torch.cat([noisy, beside, skeleton], dim=1))
        told = self._told(time, span, camera, reference, noisy.dtype)
        kept = self.encoder(folded, told, seen)
        made = self.middle(kept[-1], told)
        for place, level in enumerate(self.decoder):
            at = len(kept) - 1 - place
            if place:
                made = self.up[place - 1](functional.interpolate(made, scale_factor=2.0, mode="nearest"))
            made = level(torch.cat([made, kept[at]], dim=1), told, seen[at])
        # What is finer than the levels see reaches the image as it is; how much of it is noise, the time says.
        passed = folded * (1 + self.pass_on(told)[:, :, None, None])
        last = torch.cat([functional.silu(self.norm(made)), passed], dim=1)
        unfolded = functional.pixel_shuffle(self.to_image(last), 2)
        return unfolded[:, :, :height, :width]

    def _folded(self, images: Tensor) -> Tensor:
        """Four pixels in one, padded to what the levels divide."""
        below, beside = (-side % self.divisor for side in images.shape[2:])
        if below or beside:
            images = functional.pad(images, (0, beside, 0, below), mode="replicate")
        return functional.pixel_unshuffle(images, 2)

    def _told(self, time: Tensor, span: Tensor, camera: Tensor, reference: Tensor, dtype: torch.dtype) -> Tensor:
        turns = 2.0 ** torch.arange(_FREQUENCIES, device=time.device) * torch.pi / 2
        angles = time.float()[:, None] * turns
        waves = torch.cat([angles.sin(), angles.cos()], dim=1).to(dtype)
        words = self.time(waves) + self.spans(span) + self.cameras(camera) + self.references(reference)
        return cast(Tensor, self.tell(words))


class _Encoder(nn.Module):
    """Folded images -> what is seen at each level, finest first; told nothing where ``told`` is 0."""

    def __init__(self, channels: int, widths: list[int], told: int = 0, attending: list[bool] | None = None) -> None:
        super().__init__()
        # Two more channels say where in the image a pixel is: places do not look alike everywhere.
        self.first = nn.Conv2d(4 * channels + 2, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(
            [
                _Level(wide, wide, told, attends)
                for wide, attends in zip(widths, attending or [False] * len(widths), strict=True)
            ]
        )
        self.down = nn.ModuleList(
            [nn.Conv2d(above, below, 3, stride=2, padding=1) for above, below in pairwise(widths)]
        )

    def forward(self, folded: Tensor, told: Tensor | None, seen: list[Tensor] | None) -> list[Tensor]:
        made = self.first(torch.cat([folded, _places(folded)], dim=1))
        kept = []
        for at, level in enumerate(self.levels):
            if at:
                made = self.down[at - 1](made)
            made = level(made, told, seen[at] if seen is not None else None)
            kept.append(made)
        return kept


class _Level(nn.Module):
    """A residual block, and at some levels a look at the reference."""

    def __init__(self, before: int, after: int, told: int, attends: bool) -> None:
        super().__init__()
        self.block = _Block(before, after, told)
        self.attention = _Attention(after) if attends else None

    def forward(self, images: Tensor, told: Tensor | None, seen: Tensor | None) -> Tensor:
        made: Tensor = self.block(images, told)
        return made if self.attention is None or seen is None else self.attention(made, seen)


class _Block(nn.Module):
    """Two convolutions added to what came in; what is ``told`` scales and shifts what lies between them."""

    def __init__(self, before: int, after: int, told: int) -> None:
        super().__init__()
        self.norm, self.convolution = _norm(before), nn.Conv2d(before, after, 3, padding=1)
        self.told = nn.Linear(told, 2 * after) if told else None
        self.second_norm, self.second = _norm(after), nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, images: Tensor, told: Tensor | None) -> Tensor:
        made = self.second_norm(self.convolution(functional.silu(self.norm(images))))
        if self.told is not None and told is not None:
            scale, shift = self.told(told)[:, :, None, None].chunk(2, dim=1)
            made = made * (1 + scale) + shift
        return cast(Tensor, self.skip(images) + self.second(functional.silu(made)))


class _Attention(nn.Module):
    """Each place of an image takes what it needs from all places of the reference, which is of the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // _HEAD)
        self.norm, self.seen_norm = _norm(channels), _norm(channels)
        self.ask, self.answer = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, images: Tensor, seen: Tensor) -> Tensor:
        rows, channels, height, width = images.shape
        keys, values = self.answer(self.seen_norm(seen)).chunk(2, dim=1)
        asked, keys, values = (
            part.reshape(rows, self.heads, channels // self.heads, -1).transpose(2, 3)
            for part in (self.ask(self.norm(images)), keys, values)
        )
        found = functional.scaled_dot_product_attention(asked, keys, values)
        return cast(Tensor, images + self.out(found.transpose(2, 3).reshape(rows, channels, height, width)))


def start(network: FlowNetwork, generator: torch.Generator) -> FlowNetwork:
    """Weights such that variance passes, and that each block and the whole begin by adding nothing."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan = module.weight[0].numel()
            nn.init.normal_(module.weight, 0.0, fan**-0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, 0.0, 0.5, generator=generator)
    for module in network.modules():
        last = {_Block: "second", _Attention: "out", FlowNetwork: "to_image"}.get(type(module))
        if last is not None:
            nn.init.zeros_(getattr(module, last).weight)
    return network


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels, max(1, channels // 8)), channels)


def _places(images: Tensor) -> Tensor:
    """(N, 2, H, W): how far down and how far right each pixel is, from -1 to 1."""
    rows, _, height, width = images.shape
    down = torch.linspace(-1, 1, height, device=images.device, dtype=images.dtype)
    right = torch.linspace(-1, 1, width, device=images.device, dtype=images.dtype)
    both = torch.stack([down[:, None].expand(height, width), right[None].expand(height, width)])
    return both.expand(rows, 2, height, width)
