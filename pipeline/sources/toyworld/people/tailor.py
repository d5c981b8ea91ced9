"""What a person's surface looks like: one small texture (atlas) with a tile for each garment, skin and hair."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from pipeline.sources.toyworld.arrays import Floats, Picture
from pipeline.sources.toyworld.people.wardrobe import Person
from pipeline.sources.toyworld.randomness import generator

ATLAS_HEIGHT, ATLAS_WIDTH = 320, 512
TILES: dict[str, tuple[float, float, float, float]] = {
    "torso": (0, 0, 192, 160),
    "leg": (192, 0, 288, 192),
    "arm": (288, 0, 368, 192),
    "skirt": (368, 0, 512, 96),
    "hat": (368, 96, 440, 160),
    "skin": (440, 96, 512, 160),
    "pelvis": (368, 160, 512, 240),
    "head": (0, 160, 128, 288),
    "hair": (128, 192, 240, 320),
    "shoe": (240, 200, 288, 240),
    "bag": (288, 200, 368, 290),
}
"""x0, y0, x1, y1 in the atlas; u runs from the back over the right side, the front and the left side to the back,
v from top (0) to bottom (1)."""

_LONG_FOLDS = ("torso", "leg", "arm", "skirt")


def draw_atlas(person: Person) -> Picture:
    """The texture of ``person``: 320 x 512 x 3 RGB uint8 (sRGB)."""
    rng = generator(*person.key, "cloth")
    atlas = np.empty((ATLAS_HEIGHT, ATLAS_WIDTH, 3), np.uint8)
    atlas[:] = person.skin
    _dress_torso(_tile(atlas, "torso"), person, rng)
    _dress_arm(_tile(atlas, "arm"), person)
    _dress_legs(atlas, person, rng)
    _tile(atlas, "shoe")[:] = person.shoes_rgb
    _tile(atlas, "shoe")[:, 18:30] = (206, 204, 198) if person.identity % 3 == 0 else (40, 38, 36)
    _tile(atlas, "hat")[:] = person.hat_rgb
    _tile(atlas, "hair")[:] = person.hair_rgb
    _tile(atlas, "bag")[:] = person.bag_rgb
    _bag_details(_tile(atlas, "bag"), person)
    _draw_face(_tile(atlas, "head"), person)
    weave = _weave(int(rng.integers(0, 8)), person.upper == "sweater")
    return np.asarray(cv2.multiply(atlas, weave, scale=1 / 128))


def _color(values: Sequence[float]) -> Floats:
    return np.array(values, np.float32)


def _darken(tile: Picture, factor: float) -> None:
    tile[:] = tile * factor


def _tile(atlas: Floats, name: str) -> Floats:
    x0, y0, x1, y1 = (int(edge) for edge in TILES[name])
    return atlas[y0:y1, x0:x1]


def _dress_torso(tile: Picture, person: Person, rng: np.random.Generator) -> None:
    height, width = tile.shape[:2]
    tile[:] = person.upper_rgb
    _pattern(tile, person, rng)
    dark = tuple(0.55 * c for c in person.upper_rgb)
    middle = width // 2
    if person.open_front:
        half = int(rng.integers(8, 20))
        tile[:, middle - half : middle + half] = person.inner_rgb
        for edge in (middle - half, middle + half):
            tile[:, edge - 1 : edge + 2] = dark
    elif person.upper in ("shirt", "jacket", "coat", "polo"):
        end = 60 if person.upper == "polo" else height
        tile[:end, middle - 1 : middle + 1] = dark
        if person.upper != "jacket":
            for y in range(14, end, 16):
                cv2.circle(tile, (middle + 3, y), 1, (30, 30, 30), -1)
    collar = person.inner_rgb if person.upper in ("sweater", "jacket", "coat") else dark
    if person.upper in ("t-shirt",):
        cv2.ellipse(tile, (middle, 0), (26, 16), 0, 0, 360, person.skin, -1)
        cv2.ellipse(tile, (middle, 0), (27, 17), 0, 0, 360, dark, 2)
    elif person.upper in ("shirt", "polo", "jacket", "coat"):
        points = np.array([(middle - 14, 0), (middle, 26), (middle + 14, 0)], np.int32)
        cv2.fillPoly(tile, [points], person.skin if person.upper in ("shirt", "polo") else collar)
        cv2.polylines(tile, [points], False, dark, 2)
        tile[:6] = dark
    else:
        tile[:7] = dark
    _darken(tile[-4:], 0.72)
    if person.upper in ("hoodie", "jacket", "coat"):
        for x in (middle - 32, middle + 32):
            cv2.line(tile, (x, int(height * 0.72)), (x + (6 if x < middle else -6), int(height * 0.88)), dark, 2)
    _straps(tile, person)


def _straps(tile: Picture, person: Person) -> None:
    height, width = tile.shape[:2]
    color = tuple(0.8 * c for c in person.bag_rgb)
    if person.bag == "backpack":
        for x in (int(width * 0.395), int(width * 0.605)):
            tile[4 : int(height * 0.62), x - 4 : x + 4] = color
    elif person.bag == "shoulder":
        left, right = int(width * 0.64), int(width * 0.27)
        cv2.line(tile, (left, 6), (right, height), color, 5)
        cv2.line(tile, (int(width * 0.86), 6), (width + int(width * 0.23), height), color, 5)
        cv2.line(tile, (int(width * 0.86) - width, 6), (int(width * 0.23), height), color, 5)


def _pattern(tile: Picture, person: Person, rng: np.random.Generator) -> None:
    height, width = tile.shape[:2]
    second, kind = person.second_rgb, person.upper_pattern
    if kind == "stripes":
        step = int(rng.integers(9, 26))
        if rng.random() < 0.75:
            for y in range(0, height, step):
                tile[y : y + step // 2] = second
        else:
            for x in range(0, width, max(6, step // 2)):
                tile[:, x : x + max(2, step // 5)] = second
    elif kind == "checks":
        step = int(rng.integers(10, 22))
        ys, xs = (np.arange(n) % step < step * 0.42 for n in (height, width))
        amount = (0.5 * ys[:, None] + 0.5 * xs[None]).astype(np.float32)[..., None]
        tile[:] = tile * (1 - amount) + _color(second) * amount
    elif kind == "print":
        for _ in range(int(rng.integers(50, 130))):
            center = (int(rng.integers(0, width)), int(rng.integers(0, height)))
            cv2.circle(tile, center, int(rng.integers(2, 7)), second if rng.random() < 0.7 else (235, 230, 220), -1)
    elif kind == "logo":
        x, y = width // 2 + int(rng.integers(-3, 4)), int(height * 0.36)
        half, tall = int(rng.integers(10, 22)), int(rng.integers(6, 20))
        if rng.random() < 0.5:
            cv2.ellipse(tile, (x, y), (half, tall), 0, 0, 360, second, -1)
        else:
            for row in range(2):
                letters = "".join(chr(int(c)) for c in rng.integers(65, 91, 4))
                cv2.putText(tile, letters, (x - 22, y + 14 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, second, 2)


def _dress_arm(tile: Picture, person: Person) -> None:
    height = tile.shape[0]
    end = height if person.sleeves == "long" else int(height * 0.30)
    tile[:end] = person.upper_rgb
    if person.upper_pattern == "stripes":
        for y in range(0, end, 22):
            tile[y : min(y + 11, end)] = person.second_rgb
    elif person.upper_pattern == "checks":
        tile[:end][np.arange(end) % 18 < 7] = 0.5 * _color(person.upper_rgb) + 0.5 * _color(person.second_rgb)
    _darken(tile[max(end - 7, 0) : end], 0.7)


def _dress_legs(atlas: Picture, person: Person, rng: np.random.Generator) -> None:
    leg, pelvis, skirt = _tile(atlas, "leg"), _tile(atlas, "pelvis"), _tile(atlas, "skirt")
    pelvis[:] = person.lower_rgb
    skirt[:] = person.lower_rgb
    height = leg.shape[0]
    end = int(height * {"shorts": 0.53, "skirt": 0.0}.get(person.lower, 1.0))
    leg[:end] = person.lower_rgb
    _darken(leg[max(end - 5, 0) : end], 0.75)
    if person.lower == "jeans":
        fade = np.exp(-(((np.arange(leg.shape[1]) / leg.shape[1] - 0.5) / 0.16) ** 2))[None, :, None]
        leg[:] = np.minimum(leg * (1 + 0.28 * fade * np.linspace(1, 0.4, height)[:, None, None]), 255)
    if person.lower == "skirt":
        if rng.random() < 0.35:
            for x in range(0, skirt.shape[1], 12):
                skirt[:, x : x + 5] = person.second_rgb
        if rng.random() < 0.4:
            leg[:] = (44, 40, 42)
    width = pelvis.shape[1]
    if person.lower in ("trousers", "jeans", "shorts"):
        pelvis[8:20] = (42, 34, 28)
        pelvis[8:20, width // 2 - 5 : width // 2 + 5] = (150, 140, 110)
        for x in (int(width * 0.1), int(width * 0.78)):
            cv2.rectangle(pelvis, (x, 32), (x + 18, 52), tuple(0.72 * c for c in person.lower_rgb), 1)


def _bag_details(tile: Picture, person: Person) -> None:
    height, width = tile.shape[:2]
    dark, light = tuple(0.5 * c for c in person.bag_rgb), tuple(min(255.0, 1.35 * c) for c in person.bag_rgb)
    _darken(tile[: height // 5], 0.85)
    for shift in (0, width - 1):
        cv2.rectangle(tile, (shift - 15, int(height * 0.5)), (shift + 15, int(height * 0.86)), dark, 2)
        cv2.line(tile, (shift - 17, int(height * 0.3)), (shift + 17, int(height * 0.3)), light, 2)


def _draw_face(tile: Picture, person: Person) -> None:
    """Columns 64 +- 20 are the face; rows run from crown (0) to chin (128)."""
    tile[:] = person.skin
    red = _color(person.skin) * _color([1.0, 0.86, 0.84])
    for x in (50, 78):
        cv2.circle(tile, (x, 84), 8, red.tolist(), -1)
    shade = [0.72 * c for c in person.skin]
    for x in (55, 73):
        cv2.ellipse(tile, (x, 66), (6, 4), 0, 0, 360, shade, -1)
        cv2.ellipse(tile, (x, 67), (4, 2), 0, 0, 360, (225, 220, 214), -1)
        cv2.circle(tile, (x, 67), 2, (34, 26, 22), -1)
        cv2.line(tile, (x - 6, 59), (x + 6, 59), [0.9 * c for c in person.hair_rgb], 3)
    cv2.line(tile, (61, 84), (67, 84), shade, 3)
    cv2.line(tile, (57, 97), (71, 97), [person.skin[0] * 0.72, person.skin[1] * 0.45, person.skin[2] * 0.45], 4)
    for x in (32, 96):
        cv2.ellipse(tile, (x, 72), (4, 9), 0, 0, 360, shade, -1)
    if person.beard:
        cv2.ellipse(
            tile,
            (64, 108),
            (30, 22),
            0,
            0,
            360,
            [0.6 * h + 0.4 * s for h, s in zip(person.hair_rgb, person.skin, strict=True)],
            -1,
        )
        cv2.line(tile, (58, 97), (70, 97), [person.skin[0] * 0.7, person.skin[1] * 0.42, person.skin[2] * 0.42], 4)
    if person.hair in ("short", "bald") and person.hair_color != "none":
        tile[:30] = person.hair_rgb


@lru_cache(maxsize=16)
def _weave(variant: int, coarse: bool) -> Picture:
    """Folds, weave and strands of a whole atlas as factors on its colours: 320 x 512 x 3 uint8, 128 leaves as is."""
    grain, cloth, strands = _noise_tiles()
    dy, dx = (int(n) for n in generator("weave", variant).integers(0, 128, 2))
    atlas = np.ones((ATLAS_HEIGHT, ATLAS_WIDTH, 3), np.float32)
    for name in (*_LONG_FOLDS, "pelvis"):
        tile = _tile(atlas, name)
        height, width = tile.shape[:2]
        fine = grain[dx : dx + height, dy : dy + width, None]
        tile *= 1 + 0.085 * cloth[dy : dy + height, dx : dx + width, None] + (0.10 if coarse else 0.05) * fine
    hair, head, hat = (_tile(atlas, name) for name in ("hair", "head", "hat"))
    hair *= 1 + 0.30 * strands[dy : dy + hair.shape[0], dx : dx + hair.shape[1], None]
    hair *= np.linspace(1.25, 0.85, hair.shape[0], dtype=np.float32)[:, None, None]
    head *= 1 + 0.03 * grain[: head.shape[0], : head.shape[1], None]
    hat *= 1 + 0.12 * grain[dy : dy + hat.shape[0], dx : dx + hat.shape[1], None]
    return np.clip(atlas * 128, 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _noise_tiles() -> tuple[Floats, Floats, Floats]:
    """Grain, folds and hair strands: 384 x 384, mean 0, deviation 1."""
    rng = generator("tailor")
    white = rng.normal(size=(3, 384, 384)).astype(np.float32)
    grain = cv2.GaussianBlur(white[0], (0, 0), 0.8)
    folds = cv2.GaussianBlur(white[1], (0, 0), sigmaX=2.5, sigmaY=14.0)
    strands = cv2.GaussianBlur(white[2], (0, 0), sigmaX=0.9, sigmaY=14.0)
    grain, folds, strands = ((noise - noise.mean()) / noise.std() for noise in (grain, folds, strands))
    return grain, folds, strands
