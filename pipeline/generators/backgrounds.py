"""Other backgrounds: what stands behind people by a camera, and how somebody is put before it.

Cut and paste (Dwibedi, Misra, Hebert, "Cut, Paste and Learn", ICCV 2017, section 4.3), as ReID networks are taught to
look at people (random backgrounds: Tian et al., "Eliminating Background-Bias for Robust Person Re-identification", CVPR
2018), with the backgrounds of the camera that is asked for. A person is taken out of an image by inpainting (Bertalmio,
Bertozzi, Sapiro, "Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting", CVPR 2001). Annotations know one
person of an image, whom it is of: whoever else is on it stays in its background.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pipeline.common.images import BoolMask, RgbImage, resize
from pipeline.training.camera_numbers import camera_numbers, camera_places
from pipeline.training.data import DomainData, evenly

Count = Annotated[int, Field(ge=0)]
"""How many backgrounds of a camera there are, as settings hold it."""
_RADIUS = 3.0
"""How far around a pixel inpainting looks, pixels."""
_SIDE_OF_EDGE = 64
"""A mask is grown by a pixel for each so many of the image's height: its edge has colours of the person."""
_INSIDE_OF_EDGE = 128
"""Within a pixel of a mask's edge, and another for each so many of the image's height, colours may be of what is behind
the person: masks are a little wide, and images were smoothed when they were taken."""
_ALIKE = 0.15
"""Squared distance of two colours, in [-1, 1] each, at which they tell a pixel's share as well as the mask does."""


def grown(mask: BoolMask) -> BoolMask:
    """``mask`` (H, W) and what lies around its edge."""
    side = 2 * max(1, round(mask.shape[0] / _SIDE_OF_EDGE)) + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def without_person(image: RgbImage, mask: BoolMask) -> RgbImage:
    """``image`` (H, W, 3) uint8 with what is around the person (H, W) in their place."""
    return np.asarray(cv2.inpaint(image, grown(mask).astype(np.uint8), _RADIUS, cv2.INPAINT_NS))


def pasted(person: Tensor, mask: Tensor, background: Tensor) -> Tensor:
    """``person`` before ``background``, both (N, 3, H, W), by ``mask`` (N, 1, H, W) with edges two pixels soft; where a
    mask is empty nobody is there, and the image stays as it is."""
    return torch.where(nobody_in(mask), person, torch.lerp(background, person, _soft(mask)))


def matted(person: Tensor, mask: Tensor, background: Tensor) -> Tensor:
    """As `pasted`, and with hardly any fringe of what stood behind the person, where a mask is a little wide.

    Near the edge of a mask a pixel is taken for a mixture of colours carried over from further inside and from outside
    (matting: Chuang et al., "A Bayesian Approach to Digital Matting", CVPR 2001, with one colour of each). The share of
    the former is what remains of the person there, never more than of `pasted`; where both are alike, as much.
    """
    inside = 1 + mask.shape[2] // _INSIDE_OF_EDGE
    core = -functional.max_pool2d(-mask, 2 * inside + 1, stride=1, padding=inside)
    beyond = 1 - functional.max_pool2d(mask, 3, stride=1, padding=1)
    inner, inner_found = _carried_over(person, core, inside + 2)
    outer, outer_found = _carried_over(person, beyond, inside + 2)
    apart = (inner - outer).square().sum(dim=1, keepdim=True)
    share = ((person - outer) * (inner - outer)).sum(dim=1, keepdim=True) / apart.clamp(min=_ALIKE / 100)
    told = inner_found * outer_found * (1 - core) * apart / (apart + _ALIKE)
    soft = _soft(mask)
    share = torch.minimum(soft, torch.lerp(soft, share.clamp(0, 1), told))
    made = torch.lerp(background, torch.lerp(inner, person, share), share)
    return torch.where(nobody_in(mask), person, made)


def _carried_over(images: Tensor, known: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """``images`` (N, 3, H, W) with colours of where they are ``known`` (N, 1, H, W) carried over so many pixels around;
    and where they now are."""
    for _ in range(steps):
        share = functional.avg_pool2d(known, 3, stride=1, padding=1)
        mean = functional.avg_pool2d(known * images, 3, stride=1, padding=1) / share.clamp(min=1 / 9)
        images = torch.where((share > 0) & (known == 0), mean, images)
        known = (share > 0).to(known.dtype)
    return images, known


def _soft(mask: Tensor) -> Tensor:
    """``mask`` with edges two pixels soft."""
    return functional.avg_pool2d(mask, 3, stride=1, padding=1, count_include_pad=False)


def nobody_in(mask: Tensor) -> Tensor:
    """(N, 1, 1, 1): whether nobody is there."""
    return ~mask.flatten(1).any(dim=1)[:, None, None, None]


class Known(NamedTuple):
    """``images`` (N, H, W, 3) uint8 without people: the first ``counts[0]`` by the first camera, and so on."""

    images: NDArray[np.uint8]
    counts: tuple[int, ...]

    @classmethod
    def of_cameras(cls, data: DomainData, most: int) -> Self:
        """As `of`, of all cameras that there are; images of no known camera are of one more."""
        cameras = camera_numbers(data)
        return cls.of(data, camera_places(data, cameras), len(cameras), most)

    @classmethod
    def joined(cls, parts: Sequence[Known]) -> Self:
        """Those of several places, all of one size."""
        counts = tuple(count for part in parts for count in part.counts)
        return cls(np.concatenate([part.images for part in parts]), counts)

    @classmethod
    def of(cls, data: DomainData, places: NDArray[np.int64], cameras: int, most: int) -> Self:
        """At most ``most`` of each of so many ``cameras``, spread evenly over images whose mask is known; ``places``
        (N,): the place of each image's camera, or -1."""
        masks = np.zeros(data.images.shape[:3], np.bool_) if data.masks is None else data.masks
        seen = masks.any(axis=(1, 2))
        by_camera = [np.flatnonzero(seen & (places == camera)) for camera in range(cameras)]
        rows = [found[evenly(most, len(found))] if len(found) else found for found in by_camera]
        images = [without_person(data.images[row], masks[row]) for row in np.concatenate(rows).tolist()]
        held = np.stack(images) if images else np.empty((0, *data.images.shape[1:]), np.uint8)
        return cls(held, tuple(len(found) for found in rows))

    def filled_in(self, backgrounds: Backgrounds) -> None:
        """Copy them into ``backgrounds``, made for as many, at its size."""
        height, width = backgrounds.images.shape[2:]
        for place, image in enumerate(self.images):
            backgrounds.images[place] = torch.from_numpy(resize(image, height, width)).permute(2, 0, 1)


class Backgrounds(nn.Module):
    """``images`` (N, 3, H, W) uint8, kept with the weights: ``counts`` of them by each camera, in order."""

    images: Tensor

    def __init__(self, counts: Sequence[int], size: tuple[int, int]) -> None:
        super().__init__()
        self.counts = np.array([*counts, 0], np.int64)  # of a camera that is not known there are none
        self.starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.register_buffer("images", torch.zeros(sum(counts), 3, *size, dtype=torch.uint8))

    def behind(self, source: Tensor, mask: Tensor, cameras: Tensor, seeds: Tensor, clean_edges: bool = False) -> Tensor:
        """The person of each ``source`` (N, 3, H, W) in [-1, 1], who is where ``mask`` (N, 1, H, W) is 1, before a
        background of the camera of that place, drawn by the row's seed; as it is where there is no background, or no
        person. ``clean_edges``: `matted`, where no network mends them afterwards."""
        asked = np.minimum(cameras.cpu().numpy(), len(self.counts) - 1)
        counts = self.counts[asked]
        if not counts.any():
            return source
        drawn = self.starts[asked] + seeds.cpu().numpy() % np.maximum(counts, 1)
        drawn = torch.from_numpy(np.where(counts > 0, drawn, 0)).to(source.device)
        images = self.images[drawn].float() / 127.5 - 1
        if images.shape[2:] != source.shape[2:]:
            images = functional.interpolate(images, size=source.shape[2:], mode="bilinear", antialias=True)
        some = torch.from_numpy(counts > 0).to(source.device)[:, None, None, None]
        put = matted if clean_edges else pasted
        return put(source, mask * some, images.to(source.dtype))
