"""The cameras of a world: where each hangs, what its light is like, and how it turns light into a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pipeline.sources.toyworld.arrays import Floats
from pipeline.sources.toyworld.randomness import generator
from pipeline.sources.toyworld.raster import View


@dataclass(frozen=True)
class Light:
    """Sun (or lamp) and sky, linear RGB radiance on a white surface."""

    direction: Floats
    """unit vector towards the sun"""
    sun: Floats
    sky: Floats
    ground: Floats
    softness: float
    """0 hard shadows, 1 none to speak of"""


@dataclass(frozen=True)
class Response:
    """From linear radiance to the picture that the camera stores."""

    matrix: Floats
    """3 x 3 on linear RGB, white balance included"""
    exposure: float
    gamma: float
    contrast: float
    """1 keeps, above 1 is an S-curve"""
    haze: float
    haze_color: Floats
    saturation: float
    blur: float
    """defocus, deviation in pixels of a picture 128 high"""
    motion: float
    """length of the motion blur in pixels of a picture 128 high, for a walk across"""
    noise: float
    """deviation of the sensor noise, 0-255"""
    quality: int
    """JPEG quality"""


Span: TypeAlias = float | tuple[float, float]
"""one number, or the two between which it is drawn"""


@dataclass(frozen=True)
class _Make:
    """What the cameras of a domain have in common: the fields of `Response`, as spans."""

    white: tuple[float, float, float]
    """white balance, RGB"""
    white_spread: float
    exposure: Span
    gamma: Span
    contrast: Span
    haze: Span
    haze_color: tuple[Span, Span, Span]
    saturation: Span
    blur: Span
    motion: Span
    noise: Span
    quality: tuple[int, int]
    """the second is not reached"""


_MAKES = {
    "market-like": _Make(
        white=(1.06, 1.0, 0.90),
        white_spread=0.045,
        exposure=(1.2, 1.6),
        gamma=2.2,
        contrast=(1.0, 1.25),
        haze=(0, 0.03),
        haze_color=(0.9, 0.88, 0.8),
        saturation=(1.05, 1.3),
        blur=(0.25, 0.8),
        motion=(0, 1.8),
        noise=(1.5, 4),
        quality=(70, 93),
    ),
    "duke-like": _Make(
        white=(0.88, 0.98, 1.15),
        white_spread=0.035,
        exposure=(0.66, 0.92),
        gamma=2.1,
        contrast=(0.86, 1.0),
        haze=(0.02, 0.06),
        haze_color=(0.50, 0.56, 0.64),
        saturation=(0.62, 0.85),
        blur=(0.3, 0.75),
        motion=(0, 1.4),
        noise=(2, 5),
        quality=(76, 95),
    ),
    "any": _Make(
        white=(1.0, 1.0, 1.0),
        white_spread=0.09,
        exposure=(0.6, 1.35),
        gamma=(1.9, 2.4),
        contrast=(0.8, 1.3),
        haze=(0, 0.12),
        haze_color=((0.4, 0.9), (0.4, 0.9), (0.4, 0.9)),
        saturation=(0.6, 1.3),
        blur=(0.1, 1.6),
        motion=(0, 2.5),
        noise=(1, 6),
        quality=(40, 96),
    ),
}


@dataclass(frozen=True)
class Camera:
    """A fixed camera over its place."""

    key: tuple[int | str, ...]
    style: str
    """kind of place: campus, winter or indoor"""
    view: View
    frame: tuple[int, int]
    """height and width of the whole picture"""
    pitch: float
    """radians below the horizon"""
    light: Light
    response: Response
    looseness: float
    """how much wider than the person the boxes of its detector are"""
    jitter: float


def make_camera(seed: int, domain: str, number: int) -> Camera:
    """Camera ``number`` of ``domain``: 'market-like', 'duke-like', or 'any' for the random places of trainers."""
    key = (seed, domain, "camera", number)
    rng = generator(*key)
    style = {"market-like": "campus", "duke-like": "winter"}.get(domain) or _any_style(rng)
    if domain == "any":
        pitch = np.radians(rng.uniform(0, 62) if style == "indoor" else rng.uniform(0, 48))
        height = rng.uniform(1.3, 3.0) + 1.6 * np.sin(pitch)
    elif domain == "market-like":
        pitch, height = np.radians(rng.uniform(6, 19) + 13 * (number == 4)), rng.uniform(2.2, 3.6)
    else:
        pitch, height = np.radians(rng.uniform(9, 26) + 10 * (number in (3, 7))), rng.uniform(2.8, 4.8)
    frame = (720, 1280) if domain != "any" else (540, 720)
    field = np.radians(rng.uniform(38, 58) if domain != "any" else rng.uniform(40, 74))
    focal = frame[1] / 2 / np.tan(field / 2)
    s, c = np.sin(pitch), np.cos(pitch)
    rotation = np.array([[1, 0, 0], [0, -s, -c], [0, c, -s]], np.float32)
    view = View(rotation, np.array([0, 0, height], np.float32), (focal, focal), (frame[1] / 2, frame[0] / 2))
    light = make_light(rng, style)
    loose = {"market-like": 0.03, "duke-like": 0.10}.get(domain, 0.07)
    return Camera(key, style, view, frame, float(pitch), light, make_response(rng, style, domain), loose, 0.03)


def _any_style(rng: np.random.Generator) -> str:
    return ("indoor", "indoor", "campus", "winter")[int(rng.integers(0, 4))]


def make_light(rng: np.random.Generator, style: str) -> Light:
    """Light of a place: hard and warm on the campus, flat and cold in winter, lamps from above indoors."""
    around = rng.uniform(0, 2 * np.pi)
    if style == "campus":
        height, strength = np.radians(rng.uniform(32, 62)), rng.uniform(0.75, 1.05)
        sun, sky = strength * np.array([1.0, 0.93, 0.80]), rng.uniform(0.30, 0.42) * np.array([0.90, 0.97, 1.08])
        ground, softness = 0.20 * np.array([1.0, 0.94, 0.82]), 0.1
    elif style == "winter":
        height, strength = np.radians(rng.uniform(40, 75)), rng.uniform(0.08, 0.22)
        sun, sky = strength * np.array([0.96, 0.99, 1.04]), rng.uniform(0.50, 0.62) * np.array([0.93, 1.0, 1.10])
        ground, softness = 0.30 * np.array([0.95, 1.0, 1.08]), 0.8
    else:
        height, strength = np.radians(rng.uniform(48, 82)), rng.uniform(0.25, 0.65)
        warm = rng.uniform(-0.12, 0.14)
        sun = strength * np.array([1.0 + warm, 1.0, 1.0 - warm])
        sky, ground, softness = rng.uniform(0.35, 0.5) * np.ones(3), 0.22 * np.array([1.0, 0.93, 0.85]), 0.5
    direction = np.array([np.cos(around) * np.cos(height), np.sin(around) * np.cos(height), np.sin(height)])
    return Light(_single(direction), _single(sun), _single(sky), _single(ground), float(softness))


def _single(values: Floats) -> Floats:
    return np.asarray(values, np.float32)


def make_response(rng: np.random.Generator, style: str, domain: str) -> Response:
    """A camera's own colours and faults. Those of 'any' span more than both domains together."""
    make = _MAKES[domain]
    mix = np.eye(3) + rng.normal(0, 0.025, (3, 3))
    white = np.array(make.white) * (1 + rng.normal(0, make.white_spread, 3))
    dim = 0.45 if style == "indoor" and rng.random() < 0.4 else 1.0
    return Response(
        matrix=_single(mix * white[:, None]),
        exposure=dim * _draw(rng, make.exposure),
        gamma=_draw(rng, make.gamma),
        contrast=_draw(rng, make.contrast),
        haze=_draw(rng, make.haze),
        haze_color=_single(np.array([_draw(rng, channel) for channel in make.haze_color])),
        saturation=_draw(rng, make.saturation),
        blur=_draw(rng, make.blur),
        motion=_draw(rng, make.motion),
        noise=_draw(rng, make.noise),
        quality=int(rng.integers(*make.quality)),
    )


def _draw(rng: np.random.Generator, span: Span) -> float:
    """A number of the span; a span that is one number takes no draw."""
    return rng.uniform(*span) if isinstance(span, tuple) else span
