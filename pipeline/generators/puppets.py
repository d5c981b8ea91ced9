"""Paper puppets: people moved into other poses limb by limb.

Ten parts of a body (head, trunk, upper and lower arms and legs) are cut out between the joints of the image's own pose
and laid, turned and stretched, between those of the pose asked for. A pose network learns to move parts so (Siarohin et
al., "Deformable GANs for Pose-based Human Image Generation", CVPR 2018, section 3.2, there on features); here they are
moved on the image itself, before what is left of it without the person. What the image does not show, a back, a hidden
arm, takes the colours of what is seen in its place.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from manifests.format.skeleton import LEAST_SCORE
from pipeline.common.skeletons import JOINT_UNIT

_Size = tuple[int, int]


class Puppet(NamedTuple):
    """N people moved."""

    image: Tensor
    """(N, 3, H, W)."""
    background: Tensor
    """(N, 3, H, W): what they stand before, the image without them."""
    share: Tensor
    """(N, 1, H, W) in [0, 1]: how much of a pixel is theirs."""
    whole: Tensor
    """(N,) bool: where both poses show shoulders and hips; who is not whole stays as they are."""


class Part(NamedTuple):
    """A part of the body between two points, each the mean of some joints, by number in COCO's order."""

    start: tuple[int, ...]
    end: tuple[int, ...]
    beyond: float
    """How much further than ``end`` it reaches, in its length: hands, feet, hair have no joint."""
    width: float
    """From its middle line to its side, in heights of the body from shoulders to ankles (by eye, on drawn people)."""


_SHOULDERS, _HIPS, _ANKLES = (5, 6), (11, 12), (15, 16)
_TRUNK = Part(_SHOULDERS, _HIPS, 0.0, 0.095)
_HEAD = Part(_SHOULDERS, (0, 1, 2, 3, 4), 0.45, 0.085)
_EARS = (3, 4)
"""The middle of a head, where one is seen: a face is in front of it."""


def _limbs(side: int) -> tuple[Part, Part, Part, Part]:
    """Upper and lower arm, upper and lower leg; ``side`` 0: left, 1: right."""
    shoulder, elbow, wrist, hip, knee, ankle = ((joint + side,) for joint in (5, 7, 9, 11, 13, 15))
    return (
        Part(shoulder, elbow, 0.0, 0.05),
        Part(elbow, wrist, 0.25, 0.042),
        Part(hip, knee, 0.0, 0.075),
        Part(knee, ankle, 0.15, 0.06),
    )


_LEFT, _RIGHT = _limbs(0), _limbs(1)
PARTS = (*_LEFT[2:], *_RIGHT[2:], *_RIGHT[:2], _TRUNK, _HEAD, *_LEFT[:2])
"""From the hindmost to the foremost: legs, one arm, trunk, head, the other arm."""
_TWINS = (2, 3, 0, 1, 8, 9, 6, 7, 4, 5)
"""The same part of the other side, which stands in for one that is not seen."""
_NECK = 0.3
"""How far a head's middle is over the shoulders, in lengths of the trunk, where nothing of a face is seen."""
_TAPER = 0.15
"""How much narrower a trunk is at the hips."""
_GROWN = 1.35
"""How much wider than its parts a person is taken to be, where they are taken out of the image."""
_SHORTEST = 2.0
"""Pixels: a part seen end on has colours, but no direction."""


def move_parts(images: Tensor, own: Tensor, asked: Tensor) -> Puppet:
    """People of ``images`` (N, 3, H, W), whose joints are ``own`` (N, 17, 3: x, y in pixels, score), with their joints
    where they are ``asked``. A row stays as it is where a shoulder or hip is not seen in one of both."""
    before, after = _Body.of(own), _Body.of(asked)
    made = background = without_people(images, before.covered((images.shape[2], images.shape[3]), _GROWN))
    share = torch.zeros_like(made[:, :1])
    for number in range(len(PARTS)):
        one, twin = before.part(number), before.part(_TWINS[number])
        shown = torch.where(one.seen[:, None], one.numbers, twin.numbers)
        wanted = after.part(number)
        moved, where = _moved(images, _Line(shown, one.seen | twin.seen), wanted, PARTS[number] is _TRUNK)
        made, share = torch.lerp(made, moved, where), torch.lerp(share, torch.ones_like(share), where)
    whole = before.upright & after.upright
    made, background = (torch.where(whole[:, None, None, None], one, images) for one in (made, background))
    return Puppet(made, background, share * whole[:, None, None, None], whole)


def joints_of(column: Tensor) -> Tensor:
    """(N, 17, 3) x, y in pixels and score, of a batch's column of joints (`pipeline.common.skeletons.as_joints`)."""
    return column.view(-1, 17, 3).float() / JOINT_UNIT


class _Line(NamedTuple):
    """One part of N people: ``numbers`` (N, 5), its start, its end and its width to one side; where it is seen (N,)."""

    numbers: Tensor
    seen: Tensor

    @property
    def start(self) -> Tensor:
        return self.numbers[:, :2]

    @property
    def along(self) -> Tensor:
        """(N, 2): from start to end, never shorter than `_SHORTEST`."""
        along = self.numbers[:, 2:4] - self.start
        length = along.norm(dim=1, keepdim=True)
        down = along.new_tensor([0.0, _SHORTEST])
        return torch.where(length < _SHORTEST, down, along)

    @property
    def width(self) -> Tensor:
        return self.numbers[:, 4:5]

    @property
    def across(self) -> Tensor:
        """(N, 2): from the middle line to a side."""
        along = self.along
        turned = torch.stack([-along[:, 1], along[:, 0]], dim=1)
        return turned / along.norm(dim=1, keepdim=True) * self.width


class _Body(NamedTuple):
    """The parts of N people: (P, N, 5) and (P, N)."""

    numbers: Tensor
    seen: Tensor
    upright: Tensor
    """(N,): both shoulders and hips are seen, and these apart from those."""

    @classmethod
    def of(cls, joints: Tensor) -> _Body:
        places, seen = joints[..., :2], joints[..., 2] >= LEAST_SCORE

        def mean(some: tuple[int, ...]) -> tuple[Tensor, Tensor]:
            known = seen[:, some].float()
            total = (places[:, some] * known[..., None]).sum(dim=1)
            return total / known.sum(dim=1, keepdim=True).clamp(min=1), known.any(dim=1)

        (shoulders, above), (hips, below), (ankles, low) = (mean(some) for some in (_SHOULDERS, _HIPS, _ANKLES))
        # One of two is a side, and no middle.
        whole = seen[:, _SHOULDERS + _HIPS].all(dim=1)
        trunk = (hips - shoulders).norm(dim=1)
        # From shoulders to ankles a body is some two and a half trunks long.
        height = torch.where(low, torch.maximum((ankles - shoulders).norm(dim=1), 1.5 * trunk), 2.5 * trunk)
        numbers, known = [], []
        for part in PARTS:
            (start, there), (end, there_too) = mean(part.start), mean(part.end)
            width = part.width * height
            if part is _TRUNK:
                apart = (places[:, 5] - places[:, 6]).norm(dim=1)
                width = torch.maximum(width, apart / 2 + 0.03 * height)
            if part is _HEAD:
                ears, heard = mean(_EARS)
                end = torch.where(heard[:, None], ears, end)
                # From far behind there is nothing of a face to be seen.
                end = torch.where(there_too[:, None], end, shoulders - _NECK * (hips - shoulders))
                there_too = there_too | (above & below)
            end = end + part.beyond * (end - start)
            numbers.append(torch.cat([start, end, width[:, None]], dim=1))
            known.append(there & there_too)
        return cls(torch.stack(numbers), torch.stack(known), whole & (trunk > 1))

    def part(self, number: int) -> _Line:
        return _Line(self.numbers[number], self.seen[number])

    def covered(self, size: _Size, wider: float) -> Tensor:
        """(N, 1, H, W) in [0, 1]: where the parts are, each so many times as wide."""
        grown = self.numbers * self.numbers.new_tensor([1, 1, 1, 1, wider])
        parts = [_inside(_Line(grown[number], self.seen[number]), size) for number in range(len(PARTS))]
        return torch.stack(parts).amax(dim=0)


def _pixels(size: _Size, like: Tensor) -> Tensor:
    """(H, W, 2): x and y of each pixel's centre, counted from the image's corner as joints are."""
    rows, columns = (torch.arange(side, dtype=like.dtype, device=like.device) + 0.5 for side in size)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)


def _local(line: _Line, size: _Size) -> tuple[Tensor, Tensor]:
    """(N, H, W) each: how far along the line a pixel is, 0 at its start and 1 at its end, and how far across, 1 at its
    side."""
    offset = _pixels(size, line.numbers) - line.start[:, None, None]
    along, across = (direction[:, None, None] for direction in (line.along, line.across))
    return tuple((offset * one).sum(dim=-1) / one.square().sum(dim=-1).clamp(min=1e-6) for one in (along, across))  # type: ignore[return-value]


def _inside(line: _Line, size: _Size, trunk: bool = False) -> Tensor:
    """(N, 1, H, W) in [0, 1]: where the part is, round at its ends (a trunk: straight), its edge a pixel soft."""
    forth, aside = _local(line, size)
    width, length = line.width[:, :, None], line.along.norm(dim=1)[:, None, None]
    if trunk:
        ends = torch.minimum(forth, 1 - forth) * length
        far = torch.minimum((1 - _TAPER * forth.clamp(0, 1) - aside.abs()) * width, ends)
    else:
        over = (forth - forth.clamp(0, 1)) * length
        far = width - (over.square() + (aside * width).square()).sqrt()
    return ((far + 0.5).clamp(0, 1) * line.seen[:, None, None])[:, None]


def _moved(images: Tensor, shown: _Line, wanted: _Line, trunk: bool) -> tuple[Tensor, Tensor]:
    """The part as it lies where it is ``wanted``, taken from where it is ``shown``, and where (N, 1, H, W) it is."""
    height, width = images.shape[2:]
    forth, aside = (one[..., None] for one in _local(wanted, (height, width)))
    along, across = (direction[:, None, None] for direction in (shown.along, shown.across))
    places = shown.start[:, None, None] + forth * along + aside * across
    grid = places / places.new_tensor([width, height]) * 2 - 1
    moved = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved, _inside(wanted, (height, width), trunk) * shown.seen[:, None, None, None]


def without_people(images: Tensor, covered: Tensor) -> Tensor:
    """``images`` (N, 3, H, W) with what is ``covered`` (N, 1, H, W) filled in from around: by means of ever larger
    squares of what is not, up to the whole (pull-push: Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4)."""
    share = 1 - (covered > 0.2).to(images.dtype)
    levels = [(images * share, share)]
    while max(levels[-1][1].shape[2:]) > 1:
        levels.append(tuple(functional.avg_pool2d(one, 2, ceil_mode=True) for one in levels[-1]))  # type: ignore[arg-type]
    filled = levels[-1][0] / levels[-1][1].clamp(min=1e-6)
    for total, known in reversed(levels[:-1]):
        larger = functional.interpolate(filled, size=known.shape[2:], mode="bilinear", align_corners=False)
        filled = torch.lerp(larger, total / known.clamp(min=1e-6), (known > 0).to(images.dtype))
    return filled
