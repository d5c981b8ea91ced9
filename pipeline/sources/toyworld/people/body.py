"""The surface of a dressed person, as lofts around the joints. Lengths are fractions of the stature."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.sources.toyworld.arrays import Floats
from pipeline.sources.toyworld.mesh import COLUMNS, Loft, Mesh, build_lofts, cross, tube
from pipeline.sources.toyworld.people.gait import Joints, Vector
from pipeline.sources.toyworld.people.head import head_lofts
from pipeline.sources.toyworld.people.tailor import TILES
from pipeline.sources.toyworld.people.wardrobe import Person

# height above the hip joints, half width, front and back depth; of a man and of a woman
_TRUNK_MALE = np.array([
    (-0.055, 0.084, 0.052, 0.068), (-0.02, 0.094, 0.056, 0.070), (0.03, 0.092, 0.057, 0.060),
    (0.085, 0.084, 0.055, 0.047), (0.14, 0.088, 0.058, 0.050), (0.19, 0.097, 0.065, 0.056),
    (0.235, 0.104, 0.063, 0.058), (0.265, 0.103, 0.052, 0.052), (0.287, 0.084, 0.041, 0.045),
    (0.302, 0.052, 0.035, 0.038), (0.318, 0.036, 0.032, 0.033),
])  # fmt: skip
_TRUNK_FEMALE = np.array([
    (-0.055, 0.092, 0.052, 0.076), (-0.02, 0.102, 0.056, 0.076), (0.03, 0.093, 0.056, 0.060),
    (0.085, 0.074, 0.050, 0.044), (0.14, 0.080, 0.058, 0.047), (0.19, 0.088, 0.076, 0.051),
    (0.235, 0.093, 0.064, 0.053), (0.265, 0.094, 0.048, 0.048), (0.287, 0.076, 0.038, 0.041),
    (0.302, 0.044, 0.032, 0.034), (0.318, 0.032, 0.029, 0.030),
])  # fmt: skip
# fraction of the segment from the joint below, radius of the bare limb
_SHANK = np.array([(0.0, 0.0205), (0.15, 0.0215), (0.4, 0.029), (0.65, 0.0345), (0.85, 0.0325), (0.95, 0.0325)])
_THIGH = np.array([(0.05, 0.033), (0.2, 0.037), (0.45, 0.044), (0.7, 0.050), (0.9, 0.054), (1.06, 0.054)])
_FOREARM = np.array([(0.0, 0.0155), (0.2, 0.017), (0.5, 0.0215), (0.75, 0.0245), (0.95, 0.024)])
_UPPER_ARM = np.array([(0.06, 0.0245), (0.3, 0.0265), (0.6, 0.0295), (0.80, 0.0300), (0.94, 0.0235), (1.02, 0.012)])

# hem (above the hip joints) and ease of each upper garment
_HEM = {
    "t-shirt": -0.035,
    "polo": -0.03,
    "shirt": -0.05,
    "sweater": -0.03,
    "hoodie": -0.045,
    "jacket": -0.05,
    "coat": -0.20,
}
_EASE = {
    "t-shirt": 0.006,
    "polo": 0.006,
    "shirt": 0.008,
    "sweater": 0.010,
    "hoodie": 0.014,
    "jacket": 0.018,
    "coat": 0.022,
}
_TURNED = np.r_[COLUMNS - 1, : COLUMNS - 1]
_LEG_EASE = {"trousers": (0.008, 0.016), "jeans": (0.004, 0.007), "shorts": (0.014, 0.010), "leggings": (0.001, 0.002)}


class _Bag(NamedTuple):
    """Rings from the bottom up: heights above the hip joints (a handbag's: above the hand), and how full each is."""

    heights: Floats
    fill: Floats
    width: float
    front: float
    back: float
    power: float
    """2 is round, more is square"""


_BAGS = {
    "backpack": _Bag(
        heights=np.array([0.055, 0.06, 0.075, 0.12, 0.18, 0.235, 0.262, 0.272]),
        fill=np.array([0.1, 0.85, 1, 1, 0.98, 0.9, 0.62, 0.1]),
        width=0.083,
        front=0.052,
        back=0.056,
        power=3.5,
    ),
    "shoulder": _Bag(
        heights=np.array([-0.055, -0.05, -0.03, 0.02, 0.04, 0.045]),
        fill=np.array([0.1, 0.95, 1, 1, 0.95, 0.1]),
        width=0.026,
        front=0.072,
        back=0.072,
        power=4.0,
    ),
    "handbag": _Bag(
        heights=np.array([-0.150, -0.145, -0.12, -0.06, -0.045, -0.01, 0.0]),
        fill=np.array([0.1, 0.95, 1, 0.92, 0.55, 0.12, 0.1]),
        width=0.022,
        front=0.068,
        back=0.068,
        power=3.0,
    ),
}


def dressed_mesh(person: Person, world: Joints, rng: np.random.Generator, tag: float) -> Mesh:
    """The mesh of ``person`` with the joints ``world``; ``rng`` draws this moment's folds of the cloth."""
    size = person.stature
    lofts = [*_legs(person, world, rng), *_feet(person, world), *_pelvis(person, world)]
    lofts += [*_torso(person, world, rng), *_arms(person, world, rng), *head_lofts(person, world), *_bag(person, world)]
    if person.lower == "skirt":
        lofts.append(_skirt(person, world, rng))
    for loft in lofts:
        loft.tag = tag
        loft.width, loft.front, loft.back = (np.asarray(r) * size for r in (loft.width, loft.front, loft.back))
    return build_lofts(lofts)


def folds(rng: np.random.Generator, rings: int, amount: float) -> Floats:
    """Radius factors (rings x (COLUMNS + 1)) of wrinkled cloth."""
    noise = rng.normal(0, amount, (rings, COLUMNS)).astype(np.float32)
    noise += 0.6 * noise[:, _TURNED]
    noise[1:] += 0.6 * noise[:-1, _TURNED]
    return 1 + np.concatenate([noise, noise[:, :1]], axis=1)


def _legs(person: Person, world: Joints, rng: np.random.Generator) -> list[Loft]:
    size, girth = person.stature, 0.45 + 0.55 * person.build
    lower_ease, hem_ease = _LEG_EASE.get(person.lower, (0.0, 0.0))
    bare_below = {"shorts": 0.46, "skirt": 1.0}.get(person.lower, 0.0)
    lofts = []
    for side in ("left", "right"):
        ankle, knee, hip = (world[f"{side}_{name}"] for name in ("ankle", "knee", "hip"))
        path, radius, along = _two_bones(ankle, knee, hip, _SHANK, _THIGH)
        covered = along >= bare_below
        ease = np.where(covered, lower_ease + (hem_ease - lower_ease) * np.clip(1 - 2 * along, 0, 1), 0)
        radius = radius * girth + ease
        calf = np.where((along > 0.12) & (along < 0.48), 0.006, 0.0)
        if person.lower in ("trousers", "jeans"):
            path[0] = path[0] - np.array([0, 0, 0.018 * size])
        bump = folds(rng, len(path), 0.022 if bare_below < 1 else 0.0)
        if bare_below:
            bump[~covered] = 1.0
        v = 0.02 + 0.96 * (1 - along)
        left = world["pelvis_left"].astype(np.float32)
        lofts.append(tube(path, left, radius, radius * 1.04, v, TILES["leg"], back=radius + calf, bump=bump))
    return lofts


def _two_bones(
    end: Vector, middle: Vector, start: Vector, lower: Floats, upper: Floats
) -> tuple[Floats, Floats, Floats]:
    """Path from ``end`` to ``start`` over a softly rounded joint, radii, and position along it (0 to 1)."""
    path = np.concatenate([end + (middle - end) * lower[:, :1], middle + (start - middle) * upper[:, :1]])
    radius = np.concatenate([lower[:, 1], upper[:, 1]])
    along = np.concatenate([lower[:, 0] / 2, 0.5 + upper[:, 0] / 2])
    return path, radius, np.clip(along, 0, 1)


def _feet(person: Person, world: Joints) -> list[Loft]:
    size = person.stature
    lofts = []
    for side in ("left", "right"):
        heel, toe, ankle = (world[f"{side}_{name}"] for name in ("heel", "toe", "ankle"))
        along = np.array([0.0, 0.06, 0.3, 0.55, 0.8, 0.95, 1.0])
        width = np.array([0.008, 0.018, 0.019, 0.024, 0.026, 0.020, 0.008]) * 1.08
        height = np.array([0.012, 0.020, 0.024, 0.020, 0.014, 0.010, 0.005])
        normal = ankle - heel - (toe - heel) * 0.296
        normal = normal / np.linalg.norm(normal)
        path = heel + (toe - heel) * along[:, None] + normal * (height * size * 0.95)[:, None]
        left = cross(normal, toe - heel)
        lofts.append(tube(path, left, width, height, 0.1 + 0.8 * along, TILES["shoe"], power=2.6))
    return lofts


def _trunk_rings(person: Person, world: Joints, heights: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Centres, left axes, half widths, front and back depths of the trunk at ``heights`` above the hips."""
    table = _TRUNK_MALE if person.sex == "male" else _TRUNK_FEMALE
    spine = (world["neck"] - world["pelvis"]) / 0.305
    centers = world["pelvis"] + spine * heights[:, None]
    blend = np.clip(heights / 0.2, 0, 1)[:, None]
    left = world["pelvis_left"] * (1 - blend) + world["chest_left"] * blend
    width, front, back = (np.interp(heights, table[:, 0], table[:, column]) for column in (1, 2, 3))
    stout = person.build - 1
    low = np.clip(1 - np.abs(heights - 0.07) / 0.2, 0, 1)
    scale = 1 + stout * (0.45 + 0.55 * low)
    return centers, left, width * scale, front * (scale + 0.9 * stout * low), back * scale


def _around_legs(person: Person, world: Joints, heights: Floats, ease: Floats) -> tuple[Floats, Floats, Floats]:
    """Centres, half widths and half depths of rings around both legs at ``heights`` below the hip joints."""
    size = person.stature
    forward = cross(world["pelvis_left"], np.array([0.0, 0.0, 1.0]))
    offsets = []
    for side in ("left", "right"):
        hip, knee, ankle = (world[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        z = np.array([ankle[2], knee[2], hip[2]])
        x = np.array([(p - world["pelvis"]) @ forward for p in (ankle, knee, hip)])
        order = np.argsort(z)
        offsets.append(np.interp(world["pelvis"][2] + heights * size, z[order], x[order]))
    first, second = offsets
    thigh = np.interp(heights, [-0.5, -0.24, -0.05, 0.0], [0.030, 0.036, 0.054, 0.056]) * (0.45 + 0.55 * person.build)
    centers = world["pelvis"] + np.outer((first + second) / 2, forward)
    centers = centers + np.outer(heights * size, [0.0, 0.0, 1.0])
    half = 0.052 + thigh + ease
    return centers, half, np.abs(first - second) / 2 / size + thigh + ease


def _pelvis(person: Person, world: Joints) -> list[Loft]:
    heights = np.array([-0.075, -0.06, -0.03, 0.0, 0.04, 0.075, 0.10])
    centers, left, width, front, back = _trunk_rings(person, world, heights)
    close = np.array([0.25, 0.8, 1, 1, 1, 1, 1])
    v = 0.04 + 0.92 * np.linspace(1, 0, len(heights))
    return [
        tube(
            centers,
            left,
            (width + 0.003) * close,
            (front + 0.003) * close,
            v,
            TILES["pelvis"],
            back=(back + 0.003) * close,
        )
    ]


def _torso(person: Person, world: Joints, rng: np.random.Generator) -> list[Loft]:
    hem, ease = _HEM[person.upper], _EASE[person.upper]
    upper = np.array([0.0, 0.03, 0.06, 0.085, 0.11, 0.14, 0.165, 0.19, 0.215, 0.24, 0.262, 0.28, 0.293, 0.303, 0.314])
    heights = np.concatenate([np.linspace(hem, -0.015, 6 if person.upper == "coat" else 3), upper])
    centers, left, width, front, back = _trunk_rings(person, world, heights)
    taper = np.clip((0.315 - heights) / 0.05, 0.15, 1)
    width, front, back = width + ease * taper, front + ease * taper, back + ease * taper
    loose = ease * 0.5 * np.clip((0.12 - heights) / 0.1, 0, 1)
    below = heights < 0.0
    around, half, deep = _around_legs(person, world, heights, np.full(len(heights), ease + 0.004))
    mix = np.clip(-heights / 0.07, 0, 1)
    centers = centers * (1 - mix[:, None]) + around * mix[:, None]
    width = np.where(below, np.maximum(width, half), width + loose)
    front = np.where(below, np.maximum(front, deep * mix + front * (1 - mix)), front + loose)
    back = np.where(below, np.maximum(back, deep * mix + back * (1 - mix)), back + loose)
    bump = folds(rng, len(heights), 0.014 + 0.35 * ease)
    bump[-4:] = 1.0
    v = 0.02 + 0.96 * (heights[-1] - heights) / (heights[-1] - hem)
    lofts = [tube(centers, left, width, front, v, TILES["torso"], back=back, power=2.25, bump=bump)]
    neck = np.stack([world["neck"] - (world["head_base"] - world["neck"]) * 0.2, world["head_base"], world["head"]])
    thick = np.array([0.036, 0.031, 0.030]) * (0.92 if person.sex == "female" else 1.0)
    lofts.append(tube(neck, world["chest_left"], thick, thick, np.array([0.9, 0.5, 0.1]), TILES["skin"]))
    if person.upper in ("hoodie", "coat") and person.identity % 2:
        lofts.append(_hood(person, world))
    return lofts


def _hood(person: Person, world: Joints) -> Loft:
    size = person.stature
    along = np.array([-0.05, -0.035, -0.01, 0.012, 0.022])
    spine = (world["neck"] - world["pelvis"]) / 0.305
    path = world["neck"] - world["chest_forward"] * (0.030 * size) + spine * along[:, None]
    width = np.array([0.012, 0.045, 0.060, 0.052, 0.020])
    return tube(
        path, world["chest_left"], width, width * 0.55, np.linspace(0.9, 0.6, 5), TILES["torso"], back=width * 0.75
    )


def _arms(person: Person, world: Joints, rng: np.random.Generator) -> list[Loft]:
    girth = (0.4 + 0.6 * person.build) * (0.9 if person.sex == "female" else 1.03)
    ease = _EASE[person.upper] * 0.75
    lofts = []
    for side in ("left", "right"):
        wrist, elbow, shoulder, hand = (world[f"{side}_{name}"] for name in ("wrist", "elbow", "shoulder", "hand"))
        path, radius, along = _two_bones(wrist, elbow, shoulder, _FOREARM, _UPPER_ARM)
        covered = along >= (0.0 if person.sleeves == "long" else 0.72)
        radius = radius * girth + np.where(covered, ease + 0.002, 0)
        bump = folds(rng, len(path), 0.03)
        bump[~covered] = 1.0
        left = world["chest_left"].astype(np.float32)
        lofts.append(tube(path, left, radius, radius * 1.05, 0.02 + 0.96 * (1 - along), TILES["arm"], bump=bump))
        grip = np.array([1.0, 0.9, 0.62, 0.35, 0.0, -0.08])
        hand_path = wrist + (hand - wrist) * grip[:, None]
        broad = np.array([0.004, 0.012, 0.019, 0.022, 0.016, 0.015])
        lofts.append(tube(hand_path, left, broad * 0.62, broad, np.linspace(0.1, 0.9, 6), TILES["skin"]))
    return lofts


def _skirt(person: Person, world: Joints, rng: np.random.Generator) -> Loft:
    hem = (-0.16, -0.24, -0.32, -0.40)[person.identity // 3 % 4]
    heights = np.concatenate([np.linspace(hem, -0.05, 7), [0.0, 0.04, 0.08]])
    flare = np.clip((0.02 - heights) / 0.3, 0, 1) * (0.02 + 0.03 * (person.identity % 2))
    around, half, deep = _around_legs(person, world, heights, 0.006 + flare)
    centers, left, width, front, back = _trunk_rings(person, world, heights)
    mix = np.clip(-heights / 0.06, 0, 1)
    centers = centers * (1 - mix[:, None]) + around * mix[:, None]
    wide = np.where(heights < 0, np.maximum(half, width + 0.004), width + 0.006)
    ahead = np.maximum(deep * mix, (front + 0.006) * np.where(heights < -0.06, 0.9, 1))
    behind = np.maximum(deep * mix, (back + 0.006) * np.where(heights < -0.06, 0.9, 1))
    v = 0.03 + 0.94 * (heights[-1] - heights) / (heights[-1] - hem)
    ridges = folds(rng, len(heights), 0.03 if flare[0] > 0.02 else 0.012)
    return tube(centers, left, wide, ahead, v, TILES["skirt"], back=behind, bump=ridges)


def _bag(person: Person, world: Joints) -> list[Loft]:
    if person.bag not in _BAGS:
        return []
    bag = _BAGS[person.bag]
    left = world["chest_left" if person.bag == "backpack" else "pelvis_left"]
    v = np.linspace(0.95, 0.05, len(bag.heights))
    path = _bag_path(person, world, bag.heights)
    width, front, back = bag.width * bag.fill, bag.front * bag.fill, bag.back * bag.fill
    return [tube(path, left, width, front, v, TILES["bag"], back=back, power=bag.power)]


def _bag_path(person: Person, world: Joints, heights: Floats) -> Floats:
    """Behind the back, beside the hip, or below the hand."""
    size = person.stature
    if person.bag == "handbag":
        return world["right_hand"] + np.outer(heights * size, [0.0, 0.0, 1.0])
    spine = (world["neck"] - world["pelvis"]) / 0.305
    away = (
        world["chest_forward"] * (0.098 * size) if person.bag == "backpack" else world["pelvis_left"] * (0.128 * size)
    )
    return world["pelvis"] + spine * heights[:, None] - away
