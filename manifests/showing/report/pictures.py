"""Small pictures for the page beside thumbnails: what a mask keeps, the limbs of a pose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from PIL import Image, ImageFilter

from manifests.format.skeleton import LEAST_SCORE, LIMB_HUES

_BOX = (192, 192)
_AROUND = 0.28
"""Brightness of what a mask leaves out."""


Keypoints = Sequence[Mapping[str, float]]
"""Of a person, as a row has them: ``x``, ``y``, ``score``; a damaged row may have null in their place."""


class Limb(NamedTuple):
    """A line from one joint to another, in pixels of the image, and its hue in degrees."""

    x1: float
    y1: float
    x2: float
    y2: float
    hue: int


def cut_out(image: Image.Image, mask: Image.Image) -> Image.Image:
    """``image`` as it is under ``mask`` (of any size), grey and dark around it, with a thin light edge between."""
    scale = min(_BOX[0] / image.width, _BOX[1] / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    inside = mask.convert("L").resize(image.size, Image.Resampling.BILINEAR)
    around = image.convert("L").point(lambda value: round(value * _AROUND)).convert("RGB")
    shown = Image.composite(image, around, inside)
    solid = inside.point(lambda value: 255 if value >= 128 else 0)
    edge = Image.composite(Image.new("L", image.size, 0), solid, solid.filter(ImageFilter.MinFilter(3)))
    shown.paste((255, 255, 255), mask=edge.point(lambda value: value * 3 // 4))
    return shown


def limbs(keypoints: Keypoints | None) -> list[Limb]:
    """The limbs whose two joints were seen, of 17 keypoints (``x``, ``y``, ``score``)."""
    if not keypoints or len(keypoints) != 17:
        return []
    places = [(point["x"], point["y"], point["score"]) for point in keypoints]
    seen = [None not in place and all(map(math.isfinite, place)) and place[2] >= LEAST_SCORE for place in places]
    return [
        Limb(*places[first][:2], *places[second][:2], hue)
        for first, second, hue in LIMB_HUES
        if seen[first] and seen[second]
    ]
