"""The box that a detector puts around somebody: jitter, truncation, and the boxes of junk."""

from __future__ import annotations

import numpy as np

from pipeline.sources.toyworld.arrays import Floats
from pipeline.sources.toyworld.cameras import Camera
from pipeline.sources.toyworld.raster import bounds

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the camera's picture"""


def frame_person(
    pixels: Floats, camera: Camera, rng: np.random.Generator, height: int, width: int, kind: str, variety: bool
) -> Box:
    """The box for somebody whose surface projects to ``pixels`` (N x 3: x, y, depth)."""
    (x0, y0, _), (x1, y1, _) = bounds(pixels)
    frame_height, frame_width = camera.frame
    x0, y0 = max(float(x0), 0.0), max(float(y0), 0.0)
    x1, y1 = min(float(x1), frame_width), min(float(y1), frame_height)
    x1, y1 = max(x1, x0 + 8), max(y1, y0 + 16)
    if kind == "junk":
        x0, y0, x1, y1 = _misplace(x0, y0, x1, y1, rng)
    elif rng.random() < (0.40 if variety else 0.08):
        x0, y0, x1, y1 = _truncate(x0, y0, x1, y1, rng, hard=variety)
    tall, wide = y1 - y0, x1 - x0
    margin = camera.looseness + np.abs(rng.normal(0, camera.jitter, 4)) * (2.0 if variety else 1.0)
    slip = rng.normal(0, camera.jitter, 2)
    y0, y1 = y0 - (margin[0] - slip[0]) * tall, y1 + (margin[1] + slip[0]) * tall
    x0, x1 = x0 - (margin[2] - slip[1]) * wide, x1 + (margin[3] + slip[1]) * wide
    ratio = width / height * float(np.exp(rng.normal(0, 0.12 if variety else 0.07)))
    tall, wide = y1 - y0, x1 - x0
    if wide < ratio * tall:
        grow = (ratio * tall - wide) / 2
        x0, x1 = x0 - grow, x1 + grow
    else:
        grow = min((wide / ratio - tall) / 2, 0.12 * tall)
        y0, y1 = y0 - grow, y1 + grow
    return _inside_frame(x0, y0, x1, y1, frame_height, frame_width)


def _truncate(x0: float, y0: float, x1: float, y1: float, rng: np.random.Generator, hard: bool) -> Box:
    """Feet, head or a side cut off."""
    tall, wide = y1 - y0, x1 - x0
    part = rng.random()
    if part < 0.65:
        y1 -= rng.uniform(0.08, 0.55 if hard else 0.28) * tall
    elif part < 0.80:
        y0 += rng.uniform(0.02, 0.20 if hard else 0.08) * tall
    elif part < 0.90:
        x0 += rng.uniform(0.1, 0.4) * wide
    else:
        x1 -= rng.uniform(0.1, 0.4) * wide
    return x0, y0, x1, y1


def _misplace(x0: float, y0: float, x1: float, y1: float, rng: np.random.Generator) -> Box:
    """A box that overlaps the person too little to count."""
    tall, wide = y1 - y0, x1 - x0
    kind = rng.random()
    if kind < 0.4:
        shift = rng.uniform(0.5, 0.9) * wide * (1 if rng.random() < 0.5 else -1)
        return x0 + shift, y0, x1 + shift, y1
    if kind < 0.7:
        cut = rng.uniform(0.45, 0.7) * tall
        return (x0, y0 + cut, x1, y1 + 0.2 * tall) if rng.random() < 0.5 else (x0, y0 - 0.2 * tall, x1, y1 - cut)
    size = rng.uniform(0.3, 0.45)
    top = y0 + rng.uniform(0, 0.55) * tall
    return x0 + 0.2 * wide, top, x0 + 0.2 * wide + size * wide, top + size * tall


def _inside_frame(x0: float, y0: float, x1: float, y1: float, height: int, width: int) -> Box:
    """The box cut to the camera's picture, but never to less than a sliver."""
    x0, y0 = min(max(x0, 0.0), width - 12.0), min(max(y0, 0.0), height - 24.0)
    return float(x0), float(y0), float(max(min(x1, width), x0 + 12)), float(max(min(y1, height), y0 + 24))
