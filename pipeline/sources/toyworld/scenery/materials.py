"""Tiles of ground, wall and furniture: small sRGB textures, each with the metres that it covers."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from pipeline.sources.toyworld.arrays import Floats, Picture

SIZE = 256


class Material(NamedTuple):
    """A texture (S x S x 3 RGB uint8) and the metres that its side covers; it repeats."""

    tile: Picture
    metres: float


def noise(rng: np.random.Generator, sigma: float, sigma_y: float | None = None) -> Floats:
    """Periodic smooth noise, SIZE x SIZE, deviation 1."""
    white = rng.normal(size=(SIZE, SIZE)).astype(np.float32)
    reach = int(3 * max(sigma, sigma_y or sigma)) + 1
    padded = cv2.copyMakeBorder(white, reach, reach, reach, reach, cv2.BORDER_WRAP)
    smooth = cv2.GaussianBlur(padded, (0, 0), sigmaX=sigma, sigmaY=sigma_y or sigma)[reach:-reach, reach:-reach]
    scaled: Floats = smooth / smooth.std()
    return scaled


def _finish(color: tuple[float, float, float], factor: Floats, metres: float) -> Material:
    picture = np.array(color) * (factor if factor.ndim == 3 else factor[..., None])
    return Material(np.clip(picture, 0, 255).astype(np.uint8), metres)


def rough(rng: np.random.Generator, color: tuple[float, float, float], strength: float, metres: float) -> Material:
    """Concrete, plaster, asphalt, carpet: grain and stains."""
    factor = 1 + strength * (0.5 * noise(rng, 0.8) + 0.6 * noise(rng, 9) + 0.5 * noise(rng, 30))
    return _finish(color, factor, metres)


def blocks(
    rng: np.random.Generator, color: tuple[float, float, float], joint: float, rows: int, columns: int, metres: float
) -> Material:
    """Paving, tiles or bricks in running bond; ``joint`` is the brightness of the joints."""
    factor = 1 + 0.04 * noise(rng, 0.7) + 0.04 * noise(rng, 14)
    tall, wide = SIZE / rows, SIZE / columns
    for row in range(rows):
        y0, y1 = int(row * tall), int((row + 1) * tall)
        shift = int(wide / 2) if row % 2 else 0
        for column in range(columns):
            xs = (np.arange(int(column * wide), int((column + 1) * wide)) + shift) % SIZE
            factor[y0:y1, xs] *= 1 + 0.08 * rng.normal()
            factor[y0:y1, xs[:1]] *= joint
        factor[y0 : y0 + 1] *= joint
    return _finish(color, factor, metres)


def grass(rng: np.random.Generator, color: tuple[float, float, float], metres: float = 3.0) -> Material:
    """Lawn or foliage: dense speckles of one hue."""
    factor = 1 + 0.28 * noise(rng, 1.0, 1.8) + 0.12 * noise(rng, 12)
    tint = np.stack([factor + 0.08 * noise(rng, 18), factor, factor * 0.92], axis=-1)
    return _finish(color, tint, metres)


def snow(rng: np.random.Generator, ground: tuple[float, float, float], metres: float = 6.0) -> Material:
    """Trodden snow with bare patches."""
    patch = np.clip(noise(rng, 16) * 1.6 + 0.8, 0, 1)[..., None]
    white = np.array([206, 212, 222]) * (1 + 0.05 * noise(rng, 1.2))[..., None]
    bare = np.array(ground) * (1 + 0.10 * noise(rng, 0.8))[..., None]
    return Material(np.clip(white * patch + bare * (1 - patch), 0, 255).astype(np.uint8), metres)


def planks(rng: np.random.Generator, color: tuple[float, float, float], metres: float = 2.0) -> Material:
    """A wooden floor, boards along v."""
    factor = 1 + 0.10 * noise(rng, 0.8, 14)
    boards = int(rng.integers(10, 22))
    for board in range(boards):
        x0, x1 = SIZE * board // boards, SIZE * (board + 1) // boards
        cut = int(rng.integers(0, SIZE))
        factor[:cut, x0:x1] *= 1 + 0.12 * rng.normal()
        factor[cut:, x0:x1] *= 1 + 0.12 * rng.normal()
        factor[:, x0] *= 0.72
    return _finish(color, factor, metres)


def plain(color: tuple[float, float, float], metres: float = 1.0) -> Material:
    """One colour."""
    return Material(np.full((8, 8, 3), np.clip(color, 0, 255), np.uint8), metres)


def facade(rng: np.random.Generator, wall: Material, glass: tuple[float, float, float], shop: bool) -> Material:
    """A stretch of building 8 m high and wide: windows in storeys, at the foot a shop front or doors."""
    size = 512
    repeat = int(np.ceil(8 / wall.metres))
    picture = cv2.resize(np.tile(wall.tile, (repeat, repeat, 1)), (size, size), interpolation=cv2.INTER_AREA)
    frame = [int(c) for c in np.clip(rng.uniform(50, 200) + rng.normal(0, 16, 3), 0, 255)]
    columns, floor = int(rng.integers(3, 6)), int(size * 0.46)
    for column in range(columns):
        x0, step = int((column + 0.2) * size / columns), size / columns
        window = (x0, int(size * 0.10), int(x0 + 0.6 * step), int(size * 0.34))
        _pane(picture, rng, window, glass, frame)
    if shop:
        _shop_front(picture, rng, glass, frame, floor)
    else:
        for column in range(columns):
            x0, step = int((column + 0.16) * size / columns), size / columns
            door = rng.random() < 0.3
            foot = size if door else int(size * 0.82)
            _pane(picture, rng, (x0, int(size * 0.60), int(x0 + (0.4 if door else 0.66) * step), foot), glass, frame)
    return Material(picture, 8.0)


def _shop_front(
    picture: Picture, rng: np.random.Generator, glass: tuple[float, float, float], frame: list[int], top: int
) -> None:
    size = picture.shape[0]
    sign = [int(c) for c in rng.integers(30, 235, 3)]
    cv2.rectangle(picture, (0, top), (size, top + 44), sign, -1)
    for _ in range(2):
        letters = "".join(chr(int(c)) for c in rng.integers(65, 91, int(rng.integers(4, 8))))
        at = (int(rng.integers(5, size // 2)), top + 34)
        cv2.putText(picture, letters, at, cv2.FONT_HERSHEY_DUPLEX, 1.1, [255 - c for c in sign], 3)
    panes = int(rng.integers(3, 6))
    for pane in range(panes):
        x0, x1 = int(pane * size / panes) + 4, int((pane + 1) * size / panes) - 4
        _pane(picture, rng, (x0, top + 54, x1, size - 24), glass, frame)
        for _ in range(int(rng.integers(2, 9))):  # posters and goods behind the glass
            x, y = int(rng.integers(x0, max(x0 + 1, x1 - 14))), int(rng.integers(top + 90, size - 60))
            color = [int(c) for c in rng.integers(40, 225, 3)]
            cv2.rectangle(picture, (x, y), (x + int(rng.integers(6, 24)), y + int(rng.integers(8, 32))), color, -1)


def _pane(
    picture: Picture,
    rng: np.random.Generator,
    box: tuple[int, int, int, int],
    glass: tuple[float, float, float],
    frame: list[int],
) -> None:
    x0, y0, x1, y1 = box
    tall, wide = y1 - y0, x1 - x0
    sheen = np.linspace(1.3, 0.7, tall)[:, None] + 0.15 * rng.normal() + np.linspace(0, 0.2, wide)[None]
    picture[y0:y1, x0:x1] = np.clip(np.array(glass) * sheen[..., None], 0, 255)
    cv2.rectangle(picture, (x0, y0), (x1, y1), frame, 4)
    cv2.line(picture, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), frame, 2)
