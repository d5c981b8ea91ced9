"""Who somebody is: build, skin, hair and clothes, drawn from the person's own seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pipeline.sources.toyworld.randomness import choose, generator

Colour = tuple[int, int, int]

PALETTE: dict[str, Colour] = {
    "black": (28, 27, 30),
    "grey": (122, 122, 124),
    "lightgrey": (178, 178, 176),
    "white": (232, 231, 226),
    "navy": (34, 44, 82),
    "blue": (48, 92, 178),
    "lightblue": (142, 180, 214),
    "denim": (70, 92, 130),
    "red": (186, 38, 42),
    "wine": (96, 28, 42),
    "pink": (224, 140, 160),
    "orange": (222, 116, 40),
    "yellow": (226, 196, 62),
    "green": (58, 128, 68),
    "olive": (92, 94, 58),
    "teal": (36, 118, 122),
    "purple": (100, 62, 138),
    "brown": (98, 68, 46),
    "beige": (196, 176, 142),
    "khaki": (156, 138, 98),
}
HAIR: dict[str, Colour] = {
    "black": (24, 21, 20),
    "darkbrown": (52, 36, 26),
    "brown": (92, 64, 42),
    "blond": (184, 148, 92),
    "red": (128, 62, 34),
    "grey": (142, 140, 136),
}
SKIN: tuple[Colour, ...] = (
    (236, 196, 170),
    (222, 176, 144),
    (200, 150, 116),
    (166, 118, 84),
    (122, 82, 58),
    (82, 56, 42),
)

# How often each is drawn, in proportion to the others. The order of the names belongs to the draw.
_AGE = {"young": 55.0, "adult": 32.0, "old": 9.0, "child": 4.0}
_HAIR_FEMALE = {"long": 40.0, "bob": 18.0, "ponytail": 26.0, "short": 8.0, "curly": 8.0}
_HAIR_MALE = {"short": 74.0, "bald": 14.0, "curly": 10.0, "ponytail": 2.0, "long": 3.0}
_HAIR_YOUNG_MALE = _HAIR_MALE | {"bald": 4.0}
_HAIR_COLOURS = {"black": 40.0, "darkbrown": 26.0, "brown": 16.0, "blond": 10.0, "red": 3.0, "grey": 2.0}
_SUMMER_HAT = {"none": 80.0, "cap": 11.0, "brim": 4.0}
_WINTER_HAT = {"none": 60.0, "beanie": 22.0, "cap": 8.0}
_SUMMER_UPPER = {"t-shirt": 40.0, "shirt": 18.0, "polo": 10.0, "sweater": 8.0, "hoodie": 6.0, "jacket": 10.0}
_WINTER_UPPER = {"coat": 34.0, "jacket": 30.0, "hoodie": 16.0, "sweater": 12.0, "shirt": 5.0, "t-shirt": 2.0}
_SUMMER_COLOURS = {
    "white": 18.0, "black": 10.0, "red": 9.0, "blue": 9.0, "yellow": 6.0, "green": 6.0, "pink": 7.0, "lightblue": 8.0,
    "grey": 6.0, "lightgrey": 5.0, "orange": 5.0, "purple": 4.0, "navy": 4.0, "teal": 3.0, "beige": 4.0, "wine": 2.0,
}  # fmt: skip
_WINTER_COLOURS = {
    "black": 30.0, "navy": 14.0, "grey": 13.0, "olive": 7.0, "brown": 7.0, "wine": 5.0, "beige": 4.0, "khaki": 4.0,
    "white": 3.0, "red": 3.0, "blue": 4.0, "purple": 2.0, "green": 2.0, "lightgrey": 3.0, "denim": 2.0,
}  # fmt: skip
_LOWER_COLOURS = {
    "denim": 26.0, "black": 24.0, "navy": 14.0, "grey": 10.0, "khaki": 8.0, "beige": 5.0, "white": 4.0, "brown": 4.0,
    "olive": 3.0, "lightblue": 4.0, "red": 2.0,
}  # fmt: skip
_PATTERN = {"plain": 46.0, "stripes": 16.0, "checks": 12.0, "print": 12.0, "logo": 14.0}
_PATTERN_OUTER = {"plain": 80.0, "stripes": 6.0, "checks": 6.0, "logo": 8.0}
_WINTER_LOWER_MALE = {"trousers": 40.0, "jeans": 44.0}
_SUMMER_LOWER_MALE = _WINTER_LOWER_MALE | {"shorts": 30.0}
_WINTER_LOWER_FEMALE = _WINTER_LOWER_MALE | {"skirt": 10.0, "leggings": 14.0}
_SUMMER_LOWER_FEMALE = _SUMMER_LOWER_MALE | {"skirt": 24.0, "leggings": 14.0}
_JEANS_COLOURS = {"denim": 60.0, "black": 15.0, "lightblue": 15.0, "navy": 10.0}
_SHOES_COLOURS = {"black": 40.0, "white": 26.0, "brown": 14.0, "grey": 10.0, "red": 4.0, "blue": 6.0}
_BAG_FEMALE = {"none": 46.0, "backpack": 30.0, "shoulder": 14.0, "handbag": 14.0}
_BAG_MALE = _BAG_FEMALE | {"handbag": 6.0}
_BAG_COLOURS = {
    "black": 34.0, "navy": 14.0, "grey": 12.0, "red": 9.0, "brown": 12.0, "blue": 8.0, "beige": 5.0, "green": 6.0,
}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """One identity. Colours are sRGB 0-255; ``key`` seeds everything else that is theirs alone."""

    key: tuple[int | str, ...]
    identity: int
    sex: str
    age: str
    stature: float
    """metres"""
    build: float
    """girth relative to the average, 0.85 (thin) to 1.3 (stout)"""
    skin: Colour
    hair: str
    hair_color: str
    hair_rgb: Colour
    beard: bool
    hat: str
    hat_rgb: Colour
    upper: str
    sleeves: str
    open_front: bool
    upper_color: str
    upper_rgb: Colour
    upper_pattern: str
    second_rgb: Colour
    inner_rgb: Colour
    lower: str
    lower_color: str
    lower_rgb: Colour
    shoes_color: str
    shoes_rgb: Colour
    bag: str
    bag_color: str
    bag_rgb: Colour

    def attributes(self) -> dict[str, str | bool]:
        """What a labeller would write down."""
        return {
            "sex": self.sex,
            "age": self.age,
            "hair": self.hair,
            "hair_color": self.hair_color,
            "hat": self.hat,
            "upper_kind": self.upper,
            "upper_color": self.upper_color,
            "upper_pattern": self.upper_pattern,
            "sleeves": self.sleeves,
            "open_front": self.open_front,
            "lower_kind": self.lower,
            "lower_color": self.lower_color,
            "shoes_color": self.shoes_color,
            "bag": self.bag,
            "bag_color": self.bag_color if self.bag != "none" else "none",
        }


class _Clothes(NamedTuple):
    """What somebody wears, by name; the fields of `Person`."""

    hat: str
    upper: str
    upper_color: str
    upper_pattern: str
    sleeves: str
    lower: str
    lower_color: str
    shoes_color: str
    bag: str
    bag_color: str


@lru_cache(maxsize=512)
def make_person(seed: int, domain: str, identity: int) -> Person:
    """The person that ``identity`` names in ``domain`` of the world with this ``seed``."""
    key = (seed, domain, "person", identity)
    rng = generator(*key)
    winter = domain == "duke-like" or (domain == "any" and rng.random() < 0.45)
    female = rng.random() < 0.48
    age = choose(rng, _AGE)
    stature = _stature(rng, female, age)
    build = float(np.clip(rng.normal(1.0 + 0.08 * (age in ("adult", "old")), 0.09), 0.85, 1.3))
    hair = _hair(rng, female, age)
    hair_color = _hair_color(rng, age)
    clothes = _clothes(rng, female, winter)
    tone = min(len(SKIN) - 1, int(rng.exponential(1.5)))
    return Person(
        key=key,
        identity=identity,
        sex="female" if female else "male",
        age=age,
        stature=stature,
        build=build,
        skin=_jitter(rng, SKIN[tone], 8),
        hair=hair,
        hair_color=hair_color if hair != "bald" else "none",
        hair_rgb=_jitter(rng, HAIR[hair_color], 8),
        beard=not female and age != "child" and rng.random() < 0.22,
        hat_rgb=_jitter(rng, PALETTE[choose(rng, _WINTER_COLOURS)], 14),
        open_front=clothes.upper in ("jacket", "coat", "hoodie") and rng.random() < 0.45,
        upper_rgb=_jitter(rng, PALETTE[clothes.upper_color], 16),
        second_rgb=_jitter(rng, PALETTE[_other(rng, clothes.upper_color)], 12),
        inner_rgb=_jitter(rng, PALETTE[choose(rng, _SUMMER_COLOURS)], 12),
        lower_rgb=_jitter(rng, PALETTE[clothes.lower_color], 12),
        shoes_rgb=_jitter(rng, PALETTE[clothes.shoes_color], 10),
        bag_rgb=_jitter(rng, PALETTE[clothes.bag_color], 14),
        **clothes._asdict(),
    )


def _stature(rng: np.random.Generator, female: bool, age: str) -> float:
    if age == "child":
        return 1.33 + 0.12 * rng.random()
    mean, spread = (1.65, 0.06) if female else (1.775, 0.065)
    return mean + spread * float(np.clip(rng.normal(), -2, 2))


def _hair(rng: np.random.Generator, female: bool, age: str) -> str:
    if female:
        return choose(rng, _HAIR_FEMALE)
    return choose(rng, _HAIR_MALE if age in ("adult", "old") else _HAIR_YOUNG_MALE)


def _hair_color(rng: np.random.Generator, age: str) -> str:
    color = choose(rng, _HAIR_COLOURS)
    return "grey" if age == "old" and rng.random() < 0.75 else color


def _clothes(rng: np.random.Generator, female: bool, winter: bool) -> _Clothes:
    hat = choose(rng, _WINTER_HAT if winter else _SUMMER_HAT)
    upper = choose(rng, _WINTER_UPPER if winter else _SUMMER_UPPER)
    upper_color = choose(rng, _WINTER_COLOURS if winter else _SUMMER_COLOURS)
    pattern = choose(rng, _PATTERN_OUTER if upper in ("coat", "jacket") else _PATTERN)
    long_sleeves = upper in ("sweater", "hoodie", "jacket", "coat") or (upper == "shirt" and rng.random() < 0.5)
    lower = _lower(rng, female, winter)
    lower_color = choose(rng, _LOWER_COLOURS)
    if lower == "jeans":
        lower_color = choose(rng, _JEANS_COLOURS)
    return _Clothes(
        hat=hat,
        upper=upper,
        upper_color=upper_color,
        upper_pattern=pattern,
        sleeves="long" if long_sleeves else "short",
        lower=lower,
        lower_color=lower_color,
        shoes_color=choose(rng, _SHOES_COLOURS),
        bag=choose(rng, _BAG_FEMALE if female else _BAG_MALE),
        bag_color=choose(rng, _BAG_COLOURS),
    )


def _lower(rng: np.random.Generator, female: bool, winter: bool) -> str:
    if female:
        return choose(rng, _WINTER_LOWER_FEMALE if winter else _SUMMER_LOWER_FEMALE)
    return choose(rng, _WINTER_LOWER_MALE if winter else _SUMMER_LOWER_MALE)


def _other(rng: np.random.Generator, color: str) -> str:
    name = choose(rng, _SUMMER_COLOURS)
    return name if name != color else ("white" if color != "white" else "navy")


def _jitter(rng: np.random.Generator, rgb: Colour, amount: float) -> Colour:
    shade = rng.normal(0, amount * 0.8)
    moved = np.clip(np.array(rgb) + shade + rng.normal(0, amount * 0.5, 3), 8, 245)
    return (int(moved[0]), int(moved[1]), int(moved[2]))
