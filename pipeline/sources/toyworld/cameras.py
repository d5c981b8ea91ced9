"""The cameras of a world: where each hangs, what its light is like, and how it turns light into a picture."""

from __future__ import annotations

from dataclasses import dataclass

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
    mix = np.eye(3) + rng.normal(0, 0.025, (3, 3))
    if domain == "market-like":
        white = np.array([1.06, 1.0, 0.90]) * (1 + rng.normal(0, 0.045, 3))
        return _response(mix, white, rng.uniform(1.2, 1.6), 2.2, rng.uniform(1.0, 1.25), rng.uniform(0, 0.03),
                         (0.9, 0.88, 0.8), rng.uniform(1.05, 1.3), rng.uniform(0.25, 0.8), rng.uniform(0, 1.8),
                         rng.uniform(1.5, 4), int(rng.integers(70, 93)))  # fmt: skip
    if domain == "duke-like":
        white = np.array([0.88, 0.98, 1.15]) * (1 + rng.normal(0, 0.035, 3))
        return _response(mix, white, rng.uniform(0.66, 0.92), 2.1, rng.uniform(0.86, 1.0), rng.uniform(0.02, 0.06),
                         (0.50, 0.56, 0.64), rng.uniform(0.62, 0.85), rng.uniform(0.3, 0.75), rng.uniform(0, 1.4),
                         rng.uniform(2, 5), int(rng.integers(76, 95)))  # fmt: skip
    white = 1 + rng.normal(0, 0.09, 3)
    dim = 0.45 if style == "indoor" and rng.random() < 0.4 else 1.0
    return _response(mix, white, dim * rng.uniform(0.6, 1.35), rng.uniform(1.9, 2.4), rng.uniform(0.8, 1.3),
                     rng.uniform(0, 0.12), tuple(rng.uniform(0.4, 0.9, 3)), rng.uniform(0.6, 1.3),
                     rng.uniform(0.1, 1.6), rng.uniform(0, 2.5), rng.uniform(1, 6), int(rng.integers(40, 96)),
                     )  # fmt: skip


def _response(
    mix: Floats, white: Floats, exposure: float, gamma: float, contrast: float, haze: float,
    haze_color: tuple[float, ...], saturation: float, blur: float, motion: float, noise: float, quality: int,
) -> Response:  # fmt: skip
    matrix = np.asarray(mix * white[:, None], np.float32)
    color = np.asarray(haze_color, np.float32)
    return Response(matrix, exposure, gamma, contrast, haze, color, saturation, blur, motion, noise, quality)
