"""Heads: skull, face, hair and hats, as lofts. Lengths are fractions of the stature unless said otherwise."""

from __future__ import annotations

import numpy as np

from pipeline.sources.toyworld.arrays import Floats
from pipeline.sources.toyworld.mesh import COLUMNS, Loft, cross, tube
from pipeline.sources.toyworld.people.gait import Joints, Vector
from pipeline.sources.toyworld.people.tailor import TILES
from pipeline.sources.toyworld.people.wardrobe import Person

_HEAD = np.array([  # height in head heights above the chin, half width, front, back (of head height)
    (0.0, 0.06, 0.34, -0.20), (0.04, 0.17, 0.40, 0.05), (0.14, 0.27, 0.42, 0.22), (0.28, 0.315, 0.425, 0.31),
    (0.42, 0.335, 0.43, 0.40), (0.56, 0.345, 0.42, 0.45), (0.70, 0.345, 0.41, 0.455), (0.82, 0.31, 0.35, 0.41),
    (0.92, 0.23, 0.24, 0.30), (0.98, 0.12, 0.12, 0.16), (1.0, 0.02, 0.02, 0.03),
])  # fmt: skip


def _head_frame(person: Person, world: Joints) -> tuple[Vector, Vector, Vector, float]:
    """Chin-level origin, up and left axes (unit), and the height of the head in metres."""
    tall = 0.132 * person.stature * (1.1 if person.age == "child" else 1.0)
    up, facing = world["head_up"], world["head_forward"]
    return world["head"] - up * (0.47 * tall), up, cross(up, facing), tall


def head_lofts(person: Person, world: Joints) -> list[Loft]:
    """The head of ``person`` with what grows or sits on it."""
    origin, up, left, tall = _head_frame(person, world)
    unit = tall / person.stature
    level, width, front, back = _HEAD.T
    path = origin + np.outer(level * tall, up)
    bump = np.ones((len(level), COLUMNS + 1), np.float32)
    bump[4, COLUMNS // 2], bump[3, COLUMNS // 2], bump[5, COLUMNS // 2] = 1.16, 1.05, 0.97  # nose, lips and its root
    lofts = [
        tube(path, left, width * unit, front * unit, 0.98 - 0.96 * level, TILES["head"], back=back * unit, bump=bump)
    ]
    if person.hat != "none":
        lofts += _hat(person, path, left, unit, world)
    if person.hair != "bald":
        lofts += _hair(person, world, path, left, unit)
    return lofts


def _hair(person: Person, world: Joints, path: Floats, left: Vector, unit: float) -> list[Loft]:
    level, width, front, back = _HEAD.T
    angle = np.linspace(0, 1, COLUMNS + 1)
    side = np.abs(angle - 0.5) * 2  # 0 in front, 1 at the back
    full = {"short": 0.03, "curly": 0.13, "bob": 0.07, "long": 0.06, "ponytail": 0.03}[person.hair]
    fringe = np.interp(side, [0, 0.28, 0.45, 0.62, 0.8, 1], [0.80, 0.80, 0.62, 0.30, 0.12, 0.10])
    if person.hair in ("bob", "long", "curly"):
        fringe = np.interp(side, [0, 0.26, 0.36, 0.5, 1], [0.79, 0.74, 0.35, 0.05, 0.0])
    cover = np.clip((level[:, None] - fringe) / 0.10 + 0.5, 0, 1)
    swell = 0.0 if person.hat != "none" else full * 0.4 * (level[:, None] > 0.6)
    bump = (0.86 + (0.14 + full + swell) * cover).astype(np.float32)
    if person.hair == "curly":
        ripple = np.sin(np.arange(COLUMNS + 1) * 2 * np.pi * 5 / COLUMNS) * 0.04
        bump += (ripple * cover).astype(np.float32)
    top = path + (path[-1] - path[0]) * (full * 0.6) * level[:, None] ** 4
    lofts = [
        tube(
            top,
            left,
            width * unit,
            front * unit,
            0.95 - 0.9 * level,
            TILES["hair"],
            back=np.maximum(back, 0.1) * unit,
            bump=bump,
        )
    ]
    up, facing, tall = world["head_up"], world["head_forward"], unit * person.stature
    down = np.array([0.0, 0.0, -1.0])
    nape = path[0] + up * (0.45 * tall) - facing * (0.20 * tall)
    if person.hair in ("long", "bob"):
        length = 0.62 if person.hair == "bob" else 1.25 + 0.5 * (person.identity % 3) / 2
        along = np.linspace(1, 0, 6)
        fall = nape + np.outer(along * length * tall, down) - np.outer(0.12 * along * tall, facing)
        wide = np.array([0.24, 0.34, 0.37, 0.38, 0.37, 0.30]) * unit
        thin = np.array([0.05, 0.12, 0.17, 0.22, 0.26, 0.24]) * unit
        lofts.append(tube(fall, left, wide, thin * 0.9, np.linspace(0.95, 0.3, 6), TILES["hair"], back=thin, power=2.4))
    if person.hair == "ponytail":
        along = np.linspace(1, 0, 6)
        root = path[0] + up * (0.62 * tall) - facing * (0.42 * tall)
        fall = root + np.outer(along * tall, down) - np.outer(0.25 * np.sin(along * 2.4) * tall, facing)
        wide = np.array([0.02, 0.08, 0.10, 0.10, 0.09, 0.05]) * unit
        lofts.append(tube(fall, left, wide, wide, np.linspace(0.95, 0.1, 6), TILES["hair"]))
    return lofts


def _hat(person: Person, path: Floats, left: Vector, unit: float, world: Joints) -> list[Loft]:
    level, width, front, back = _HEAD.T
    grow = {"beanie": 1.16, "cap": 1.12, "brim": 1.14}[person.hat]
    low = {"beanie": 0.60, "cap": 0.66, "brim": 0.66}[person.hat]
    rings = np.array([low, low + 0.06, 0.82, 0.92, 0.98, 1.0])
    wide, ahead, behind = (np.interp(rings, level, column) * grow * unit for column in (width, front, back))
    rise = path[0] + np.outer((rings + (rings - low) * 0.10 + 0.01), path[-1] - path[0])
    lofts = [tube(rise, left, wide, ahead, np.linspace(0.95, 0.05, 6), TILES["hat"], back=behind)]
    tall = path[-1] - path[0]
    if person.hat == "beanie":
        return lofts
    center = path[0] + tall * (low + 0.02)
    edge = np.array([0.02, 1.0, 1.0, 0.02])
    brim = center + np.outer([0.0, -0.01, 0.015, 0.03], tall)
    if person.hat == "cap":
        brim = brim + world["head_forward"] * (0.42 * unit * person.stature)
        span, reach = 0.30 * unit, 0.46 * unit
    else:
        span, reach = 0.66 * unit, 0.74 * unit
    axes = np.repeat(left[None], 4, axis=0)
    ahead_axis = np.repeat(world["head_forward"][None], 4, axis=0)
    lofts.append(Loft(brim, axes, ahead_axis, edge * span, edge * reach, edge * reach, np.full(4, 0.9), TILES["hat"]))
    return lofts
