"""The place before each camera: ground, buildings and things, drawn once, with depth, light and shadows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from pipeline.sources.toyworld.arrays import Floats, Picture
from pipeline.sources.toyworld.cameras import Camera, make_camera
from pipeline.sources.toyworld.mesh import join
from pipeline.sources.toyworld.randomness import generator
from pipeline.sources.toyworld.raster import FAR, draw, shadow
from pipeline.sources.toyworld.scenery.builder import Builder
from pipeline.sources.toyworld.scenery.furniture import furnish
from pipeline.sources.toyworld.scenery.materials import Material

WHITE = 1.6
"""linear radiance that the stored picture can hold"""


@dataclass(frozen=True)
class Scene:
    """What a camera sees when nobody is there."""

    camera: Camera
    picture: Picture
    """H x W x 4 uint8: square root of the linear RGB radiance (255 is `WHITE`), and the sun's share of it"""
    depth: Floats
    """H x W metres"""
    spots: Floats
    """N x 2 ground positions (x, y) where somebody may walk"""


@lru_cache(maxsize=96)
def make_scene(seed: int, domain: str, number: int) -> Scene:
    """The place of camera ``number``. Kept, since every picture of that camera needs it."""
    camera = make_camera(seed, domain, number)
    rng = generator(*camera.key, "place")
    builder = furnish(camera, rng)
    return _photograph(camera, builder, rng)


def _photograph(camera: Camera, builder: Builder, rng: np.random.Generator) -> Scene:
    height, width = camera.frame
    depth = np.full((height, width), FAR, np.float32)
    ground, things = builder.meshes()
    attributes, normals = draw(join([ground, things]), camera.view, depth, closed=False)
    light = camera.light
    normals *= np.where((normals * camera.view.rays(height, width)).sum(2) > 0, -1, 1).astype(np.float32)[..., None]
    facing = np.clip(normals @ light.direction, 0, 1)
    hidden = shadow(
        things, light.direction, camera.view, depth, size=1536, bias=0.06, reach=builder.reach, closed=False
    )
    hidden = cv2.GaussianBlur(hidden, (0, 0), 0.7 + 5 * light.softness)
    sun = (facing * (1 - hidden))[..., None] * light.sun
    upward = (normals[..., 2:] * 0.5 + 0.5).astype(np.float32)
    sky = light.sky * upward + light.ground * (1 - upward)
    albedo = _albedo(attributes, depth, builder.materials, camera.view.focal[0], rng, camera.style)
    radiance = albedo * (sun + sky)
    share = sun[..., 1] / (sun[..., 1] + sky[..., 1] + 1e-4)
    stored = np.dstack([np.sqrt(np.clip(radiance / WHITE, 0, 1)), np.clip(share, 0, 1)]) * 255
    picture = cv2.GaussianBlur(stored.astype(np.uint8), (0, 0), 0.6)
    return Scene(camera, picture, depth, _walkable(camera, builder, depth, rng))


def _albedo(
    attributes: Floats, depth: Floats, tiles: list[Material], focal: float, rng: np.random.Generator, style: str
) -> Floats:
    """Linear albedo of every pixel; the sky's is chosen so that it comes out bright."""
    height, width = depth.shape
    top = np.array([0.55, 0.75, 1.15]) if style == "campus" else np.array([0.95, 1.0, 1.06])
    fade = np.linspace(0, 1, height)[:, None, None]
    picture = np.broadcast_to((top * (1 - fade) + 1.1 * fade), (height, width, 3)).astype(np.float32).copy()
    flat = picture.reshape(-1, 3)
    tags = np.where(depth < FAR, np.rint(attributes[..., 2]), 0).astype(np.int32).reshape(-1)
    u, v, far = attributes[..., 0].reshape(-1), attributes[..., 1].reshape(-1), depth.reshape(-1)
    for number, (tile, metres) in enumerate(tiles, start=1):
        here = np.flatnonzero(tags == number)
        if not len(here):
            continue
        size = tile.shape[0]
        level = np.log2(np.maximum(far[here] / focal * size / metres * 1.2, 1)).astype(np.int32)
        current = tile
        for step in range(min(5, int(level.max()) + 1)):
            of_level = here[(level == step) if step < 4 else (level >= 4)]
            if len(of_level):
                scale = current.shape[0] / metres
                flat[of_level] = _sample(current, u[of_level] * scale, v[of_level] * scale)
            if current.shape[0] > 8:
                current = cv2.resize(
                    current, (current.shape[1] // 2, current.shape[0] // 2), interpolation=cv2.INTER_AREA
                )
    return picture


def _sample(tile: Picture, u: Floats, v: Floats) -> Floats:
    """Bilinear look-ups in a repeating tile, in linear light: N x 3."""
    count, row = len(u), 4096
    rows = -(-count // row)
    padded = np.zeros((2, rows * row), np.float32)
    padded[0, :count], padded[1, :count] = u % tile.shape[1], v % tile.shape[0]
    xs, ys = padded.reshape(2, rows, row)
    found = cv2.remap(tile, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return cv2.LUT(found, LINEAR).reshape(-1, 3)[:count]


LINEAR = (((np.arange(256) / 255.0) ** 2.2)[:, None]).astype(np.float32).reshape(1, 256)
"""sRGB bytes as linear light (gamma 2.2)"""


def _walkable(camera: Camera, builder: Builder, depth: Floats, rng: np.random.Generator) -> Floats:
    """Spots on the ground where somebody of 1.72 m is mostly seen; a few where things stand in front."""
    count = 6000
    near, far = builder.walk[2], builder.walk[3]
    # More of them near than far: uniform in log distance.
    y = np.exp(rng.uniform(np.log(near), np.log(far), count))
    x = rng.uniform(builder.walk[0], builder.walk[1], count)
    free = np.ones(count, bool)
    for ox, oy, radius in builder.obstacles:
        free &= (x - ox) ** 2 + (y - oy) ** 2 > (radius + 0.32) ** 2
    levels = np.array([0.05, 0.3, 0.6, 0.9, 1.2, 1.5, 1.72])
    points = np.stack([np.repeat(x, 7), np.repeat(y, 7), np.tile(levels, count)], axis=1)
    pixels = camera.view.project(points).reshape(count, 7, 3)
    height, width = camera.frame
    col, row = pixels[..., 0].astype(np.int32), pixels[..., 1].astype(np.int32)
    inside = (col > 8) & (col < width - 8) & (row > 4) & (row < height - 4) & (pixels[..., 2] > 0.6)
    seen = inside & (pixels[..., 2] < depth[np.clip(row, 0, height - 1), np.clip(col, 0, width - 1)] + 0.12)
    tall = np.linalg.norm(pixels[:, 0, :2] - pixels[:, 6, :2], axis=1)
    strict = 7 if camera.style != "indoor" and camera.key[1] != "any" else 5
    smallest = 75 if strict == 7 else 110
    good = free & (inside.sum(1) >= strict) & (tall > smallest) & (tall < 0.93 * height if strict == 7 else tall > 0)
    clear, hidden = good & (seen.sum(1) >= strict), good & (seen.sum(1) >= 4) & (seen.sum(1) < strict)
    spots = np.stack([x, y], axis=1).astype(np.float32)
    first, second = spots[clear][:400], spots[hidden][: max(1, int(0.12 * min(400, int(clear.sum()))))]
    chosen = np.concatenate([first, second])
    if not len(chosen):  # a camera that looks past everything: the spot nearest to its axis
        chosen = spots[[int(np.argmax(inside.sum(1) + 0.5 * seen.sum(1)))]]
    return chosen


def crop_scene(
    scene: Scene, box: tuple[float, float, float, float], height: int, width: int
) -> tuple[Floats, Floats, Floats]:
    """The place in ``box`` (pixels of the frame), resized.

    Returns:
        Linear radiance (H x W x 3), the sun's share of it (H x W, 0 to 1), and depth (H x W metres).
    """
    sx, sy = (box[2] - box[0]) / width, (box[3] - box[1]) / height
    matrix = np.array([[sx, 0, box[0] + 0.5 * sx - 0.5], [0, sy, box[1] + 0.5 * sy - 0.5]])
    border = cv2.BORDER_REFLECT_101
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    stored = cv2.warpAffine(scene.picture, matrix, (width, height), flags=flags, borderMode=border)
    nearest = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    depth = cv2.warpAffine(scene.depth, matrix, (width, height), flags=nearest, borderMode=border)
    decoded = cv2.LUT(stored, _DECODE)
    return decoded[..., :3], np.sqrt(decoded[..., 3] / WHITE), depth


_DECODE = (WHITE * (np.arange(256) / 255.0) ** 2).astype(np.float32).reshape(1, 256)
