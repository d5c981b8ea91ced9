"""What stands in a place: streets with bushes, trees, poles and cars; rooms with pictures and tables."""

from __future__ import annotations

import numpy as np

from pipeline.sources.toyworld.cameras import Camera
from pipeline.sources.toyworld.scenery import materials as m
from pipeline.sources.toyworld.scenery.builder import Builder


def furnish(camera: Camera, rng: np.random.Generator) -> Builder:
    """The place of ``camera``."""
    builder = Builder(rng)
    if camera.style == "indoor":
        _room(builder, rng)
    else:
        _street(builder, rng, winter=camera.style == "winter")
    return builder


def _street(builder: Builder, rng: np.random.Generator, winter: bool) -> None:
    tone = rng.uniform(0.85, 1.12)
    paving = _paving(rng, winter, tone)
    builder.ground(builder.material(paving), -40, 40, -5, 70)
    back = float(rng.uniform(8.5, 18))
    green = m.snow(rng, (92, 98, 84)) if winter else m.grass(rng, (104, 118, 72))
    lawn = builder.material(green)
    kerb = builder.material(m.rough(rng, (150, 150, 148), 0.08, 2.0))
    side = 1 if rng.random() < 0.5 else -1
    edge = float(rng.uniform(0.4, 3.2))
    for ends in ((edge, 30.0), (-30.0, -edge - 2.2)) if rng.random() < 0.6 else ((edge, 30.0),):
        x0, x1 = sorted((side * ends[0], side * ends[1]))
        builder.ground(lawn, x0, x1, float(rng.uniform(2, 6)), back - 1.4, 0.012)
        line = x0 if abs(x0) < abs(x1) else x1
        builder.box(kerb, line, back / 2 + 2, (0.14, back - 4, 0.07))
    if rng.random() < 0.45:
        road = builder.material(m.rough(rng, (124, 122, 122) if not winter else (84, 88, 96), 0.10, 4.0))
        builder.ground(road, -40, 40, back - 4.5, back - 1.2, 0.02)
    _backdrop(builder, rng, winter, back)
    _things(builder, rng, winter, back)


def _paving(rng: np.random.Generator, winter: bool, tone: float) -> m.Material:
    rows = int(rng.integers(4, 9))
    if winter:
        grey = (124 * tone, 128 * tone, 134 * tone)
        kind = int(rng.integers(0, 3))
        if kind == 0:
            return m.snow(rng, grey)
        return m.rough(rng, grey, 0.10, 5.0) if kind == 1 else m.blocks(rng, grey, 0.8, rows, rows, 3.0)
    warm = ((178, 162, 140), (188, 178, 164), (172, 134, 112), (160, 154, 148))[int(rng.integers(0, 4))]
    color = (warm[0] * tone, warm[1] * tone, warm[2] * tone)
    return m.blocks(rng, color, 0.78, rows, int(rng.integers(3, 7)), float(rng.uniform(1.6, 3.2)))


def _backdrop(builder: Builder, rng: np.random.Generator, winter: bool, back: float) -> None:
    if winter:
        stone = ((150, 142, 134), (128, 134, 142), (164, 162, 158), (118, 102, 96))[int(rng.integers(0, 4))]
        wall = m.blocks(rng, stone, 0.82, 10, 5, 2.0) if rng.random() < 0.6 else m.rough(rng, stone, 0.1, 4.0)
        front = builder.material(m.facade(rng, wall, (62, 74, 88), shop=False))
    else:
        warm = ((206, 190, 164), (186, 120, 92), (214, 206, 190), (196, 176, 96))[int(rng.integers(0, 4))]
        wall = m.blocks(rng, warm, 0.85, 16, 6, 2.0) if rng.random() < 0.5 else m.rough(rng, warm, 0.07, 4.0)
        front = builder.material(m.facade(rng, wall, (84, 116, 138), shop=rng.random() < 0.7))
    tilt = float(rng.normal(0, 1.5))
    builder.walk = (-7.0, 7.0, 2.2, back - 0.6 + 0.65 * min(tilt, 0.0))
    builder.wall(front, (-32, back), (32, back + tilt), 0, 8.0)
    if rng.random() < 0.4:
        side = 1 if rng.random() < 0.5 else -1
        at = float(rng.uniform(4.5, 8.0))
        builder.wall(front, (side * at, back), (side * at, back * 0.45), 0, 8.0)
        for y in np.arange(back * 0.45, back, 0.3):
            builder.block(side * at, float(y), 0.15)


def _things(builder: Builder, rng: np.random.Generator, winter: bool, back: float) -> None:
    leaf = builder.material(m.grass(rng, (58, 84, 52) if winter else (70, 90, 58), 1.2))
    metal = builder.material(m.rough(rng, (70, 74, 80) if winter else (120, 124, 120), 0.05, 1.0))
    bark = builder.material(m.rough(rng, (76, 64, 54), 0.25, 0.8))
    for _ in range(int(rng.integers(2, 6)) if not winter else int(rng.integers(0, 3))):
        x, y = _beside(rng, 1.2, 7), float(rng.uniform(4, back - 1))
        tall, wide = float(rng.uniform(0.5, 1.3)), float(rng.uniform(0.4, 1.0))
        shape = np.array([0.75, 1.0, 1.05, 0.95, 0.7, 0.1]) * wide
        builder.round(leaf, x, y, np.array([0, 0.2, 0.45, 0.7, 0.9, 1]) * tall, shape, lumpy=0.09)
        builder.block(x, y, wide)
    for _ in range(int(rng.integers(0, 4))):
        x, y = _beside(rng, 1.0, 8), float(rng.uniform(4, back - 0.6))
        thick = float(rng.uniform(0.09, 0.2))
        builder.round(
            bark,
            x,
            y,
            np.array([0, 0.4, 1.5, 4.5]),
            np.array([1.4, 1, 0.9, 0.7]) * thick,
            lean=(float(rng.normal(0, 0.04)), 0),
        )
        builder.block(x, y, thick)
        if not winter:
            crown = np.array([0.2, 1.1, 1.5, 1.3, 0.7, 0.1]) * float(rng.uniform(0.8, 1.3))
            builder.round(leaf, x, y, np.linspace(2.6, 5.4, 6), crown, lumpy=0.12)
        else:
            for _ in range(5):
                lean = (float(rng.normal(0, 0.5)), float(rng.normal(0, 0.5)))
                builder.round(bark, x, y, np.array([1.6, 2.6, 4.2]), np.array([0.5, 0.3, 0.1]) * thick, lean=lean)
    for _ in range(int(rng.integers(1, 4))):
        x, y = _beside(rng, 0.6, 5), float(rng.uniform(3.2, back - 1))
        builder.round(metal, x, y, np.array([0.0, 0.1, 5.0]), np.array([0.07, 0.05, 0.04]))
        builder.block(x, y, 0.1)
    if rng.random() < 0.5:
        y, x0 = float(rng.uniform(4.5, back - 2)), _beside(rng, 1.5, 4)
        _railing(builder, metal, x0, x0 + (4.0 if x0 > 0 else -4.0), y)
    for _ in range(int(rng.integers(0, 3))):
        _car(builder, rng, _beside(rng, 2.5, 8), float(rng.uniform(6.5, max(7, back - 2))))
    if rng.random() < 0.6:
        bin_color = builder.material(m.rough(rng, tuple(float(c) for c in rng.uniform(40, 150, 3)), 0.06, 1.0))  # type: ignore[arg-type]
        x, y = _beside(rng, 1.2, 4), float(rng.uniform(4, back - 1))
        builder.box(bin_color, x, y, (0.5, 0.5, 0.95), turn=float(rng.uniform(0, 1.5)))
        builder.block(x, y, 0.4)


def _beside(rng: np.random.Generator, near: float, far: float) -> float:
    return float(rng.uniform(near, far) * (1 if rng.random() < 0.5 else -1))


def _railing(builder: Builder, metal: int, x0: float, x1: float, y: float) -> None:
    for z in (0.55, 1.0):
        builder.along(metal, np.array([x0, y, z]), np.array([x1, y, z]), 0.025, 0.025)
    for x in np.linspace(x0, x1, 5):
        builder.round(metal, float(x), y, np.array([0, 1.0]), np.array([0.03, 0.03]))
    for x in np.linspace(x0, x1, 12):
        builder.block(float(x), y, 0.1)


def _car(builder: Builder, rng: np.random.Generator, x: float, y: float) -> None:
    paints = ((30, 30, 34), (180, 182, 186), (220, 220, 220), (120, 24, 28), (36, 60, 110), (70, 74, 80))
    paint = builder.material(m.plain(paints[int(rng.integers(0, 6))]))
    glass, tyre = builder.material(m.plain((44, 54, 62))), builder.material(m.plain((24, 24, 26)))
    hull = np.array([(0, 0.3, 0.5), (0.02, 0.85, 0.8), (0.25, 1, 1), (0.75, 1, 1), (0.97, 0.9, 0.85), (1, 0.4, 0.5)])
    roof = np.array(
        [(0, 0.85, 0.05), (0.16, 0.9, 0.9), (0.3, 0.88, 1), (0.62, 0.88, 1), (0.85, 0.9, 0.5), (1, 0.85, 0.05)]
    )
    builder.along(paint, np.array([x - 2.1, y, 0.62]), np.array([x + 2.1, y, 0.62]), 0.85, 0.36, hull)
    builder.along(glass, np.array([x - 1.5, y, 0.95]), np.array([x + 1.2, y, 0.95]), 0.76, 0.48, roof)
    builder.along(paint, np.array([x - 0.85, y, 1.40]), np.array([x + 0.3, y, 1.40]), 0.66, 0.05)
    disc = np.array([(0, 0.02, 0.02), (0.01, 1, 1), (0.99, 1, 1), (1, 0.02, 0.02)])
    for wheel in (-1.35, 1.35):
        builder.along(
            tyre, np.array([x + wheel, y - 0.9, 0.32]), np.array([x + wheel, y + 0.9, 0.32]), 0.32, 0.32, disc
        )
    for step in np.linspace(-2.0, 2.0, 9):
        builder.block(x + float(step), y, 0.95)


def _room(builder: Builder, rng: np.random.Generator) -> None:
    kind = int(rng.integers(0, 4))
    wood = ((150, 84, 46), (176, 122, 72), (118, 80, 54))[int(rng.integers(0, 3))]
    carpet = tuple(float(c) for c in rng.uniform(60, 150, 3))
    floor = (
        m.planks(rng, wood),
        m.planks(rng, wood, 1.4),
        m.blocks(rng, (196, 192, 184), 0.8, 4, 4, 2.0),
        m.rough(rng, (carpet[0], carpet[1], carpet[2]), 0.1, 1.5),
    )[kind]
    builder.ground(builder.material(floor), -12, 12, -5, 14)
    back, half = float(rng.uniform(3.6, 9.0)), float(rng.uniform(2.4, 6.0))
    paint = rng.uniform(165, 236) + rng.normal(0, 9, 3)
    wall = builder.material(m.rough(rng, (float(paint[0]), float(paint[1]), float(paint[2])), 0.03, 4.0))
    skirting = builder.material(m.plain((92, 52, 36) if kind < 2 else (110, 110, 112)))
    slope = float(rng.normal(0, 0.8))
    builder.wall(wall, (-14, back - slope), (14, back + slope), 0, 3.6)
    builder.wall(skirting, (-14, back - slope - 0.02), (14, back + slope - 0.02), 0, 0.11)
    for sign in (-1, 1) if rng.random() < 0.5 else (1 if rng.random() < 0.5 else -1,):
        builder.wall(wall, (sign * half, back + 1), (sign * half, 0.4), 0, 3.6)
        builder.wall(skirting, (sign * (half - 0.02), back + 1), (sign * (half - 0.02), 0.4), 0, 0.11)
    for _ in range(int(rng.integers(1, 5))):
        _on_wall(builder, rng, back, slope)
    for _ in range(int(rng.integers(0, 5))):
        _furniture(builder, rng, half, back)
    builder.walk = (-half + 0.35, half - 0.35, 0.7, back - abs(slope) - 0.3)
    builder.reach = 12.0


def _on_wall(builder: Builder, rng: np.random.Generator, back: float, slope: float) -> None:
    """A picture, window, board or door, 4 cm off the wall."""
    x, wide = float(rng.uniform(-4, 4)), float(rng.uniform(0.5, 1.8))
    y = back + slope * x / 14 - 0.04
    door = rng.random() < 0.35
    low, high = (0.0, 2.05) if door else (float(rng.uniform(0.7, 1.3)), float(rng.uniform(1.6, 2.3)))
    frame = builder.material(m.plain(((30, 28, 28), (140, 96, 60), (210, 210, 208))[int(rng.integers(0, 3))]))
    inner = tuple(float(c) for c in rng.uniform(40, 225) + rng.normal(0, 20, 3))
    fill = builder.material(m.rough(rng, (inner[0], inner[1], inner[2]), 0.08, 1.0))
    builder.wall(frame, (x - wide / 2, y), (x + wide / 2, y), low, high)
    builder.wall(
        fill, (x - wide / 2 + 0.07, y - 0.02), (x + wide / 2 - 0.07, y - 0.02), low + 0.07 * (not door), high - 0.07
    )


def _furniture(builder: Builder, rng: np.random.Generator, half: float, back: float) -> None:
    x, y = float(rng.uniform(-half, half)), float(rng.uniform(1.8, back - 0.4))
    shade = rng.uniform(40, 230)
    color = builder.material(m.rough(rng, (shade, shade * rng.uniform(0.8, 1), shade * rng.uniform(0.7, 1)), 0.06, 1.0))
    kind = int(rng.integers(0, 4))
    if kind == 0:
        top = float(rng.uniform(0.7, 1.05))
        radius = float(rng.uniform(0.3, 0.55))
        builder.round(
            color, x, y, np.array([top, top + 0.01, top + 0.03, top + 0.04]), np.array([0.02, 1, 1, 0.02]) * radius
        )
        builder.round(
            builder.material(m.plain((60, 60, 62))),
            x,
            y,
            np.array([0, 0.03, 0.05, top]),
            np.array([0.3, 0.28, 0.05, 0.05]),
        )
        builder.block(x, y, radius)
    elif kind == 1:
        builder.box(color, x, y, (0.46, 0.46, 0.05), 0.44)
        builder.box(color, x, y + 0.22, (0.46, 0.04, 0.45), 0.5)
        for dx in (-0.2, 0.2):
            for dy in (-0.2, 0.2):
                builder.box(color, x + dx, y + dy, (0.04, 0.04, 0.45))
        builder.block(x, y, 0.35)
    else:
        size = (float(rng.uniform(0.4, 1.6)), float(rng.uniform(0.4, 0.8)), float(rng.uniform(0.5, 1.5)))
        builder.box(color, x, y, size, turn=float(rng.normal(0, 0.2)))
        builder.block(x, y, max(size[:2]) / 2 + 0.1)
