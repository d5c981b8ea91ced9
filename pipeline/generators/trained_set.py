"""The generators of one training as a synthesis sees them: one file, or one for each ordered pair of cameras.

A plan names a member for each row; a worker loads the member whose rows it has in hand, and no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from manifests.errors import UserError
from pipeline.checkpoints import file_sha256, resolve
from pipeline.common.precision import Precision
from pipeline.generators.convolutions import Convolutions
from pipeline.training.data import Camera

if TYPE_CHECKING:
    from pipeline.generators.recipes.base import Recipe
    from pipeline.generators.trained import Generator

# What imports torch is imported by who opens a set: settings only name one.

SINGLE = ""
"""Name of the only member where one generator makes everything."""
PAIRS_FILE = "camstyle.json"
_ONE_WAY = ("pix2pix_cameras",)
"""Recipes of one generator from one camera to another."""


class PairEntry(BaseModel):
    """One direction between two cameras: the weights file, relative to the folder, and its digest."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    path: str = Field(pattern=r"^[\w-][\w.-]*(/[\w-][\w.-]*)*$")
    """Inside the folder: it leads nowhere else."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class PairsFile(BaseModel):
    """`camstyle.json`: what the training of all pairs of cameras leaves; keys are `pair_name`s."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    recipe: str = Field(pattern=r"^\w+$")
    cameras: tuple[Camera, ...] = Field(min_length=2)
    generators: dict[Annotated[str, Field(pattern=r"^\d+->\d+$")], PairEntry] = Field(min_length=1)


@dataclass(frozen=True)
class Member:
    """One generator: its weights file by name or path, and the file's digest."""

    path: str
    sha256: str


@dataclass(frozen=True)
class GeneratorSet:
    """What is known of the generators before one is loaded; small and picklable."""

    name: str
    """As it was asked for."""
    recipe: Recipe
    height: int
    width: int
    members: Mapping[str, Member]
    """By the name of a pair of cameras, or `SINGLE`."""
    cameras: tuple[int, ...] = ()
    """The cameras whose styles can be asked for."""

    @property
    def keeps_geometry(self) -> bool:
        """Whether people and joints stay where the image that is read has them; its pairs show pix2pix near poses."""
        return self.recipe.name not in _ONE_WAY

    @property
    def canonical_poses(self) -> NDArray[np.float32]:
        """(K, 17, 2) x, y in [0, 1] of width and height; K is 0 where the recipe has none."""
        return np.asarray(getattr(self.recipe.settings, "canonical_poses", ()), np.float32).reshape(-1, 17, 2)

    @property
    def pairs(self) -> bool:
        """Whether each ordered pair of cameras has its own generator."""
        return SINGLE not in self.members

    def load(
        self,
        member: str,
        device: str,
        precision: Precision,
        batch_size: int,
        convolutions: Convolutions = "auto",
        generation: Mapping[str, Any] | None = None,
    ) -> Generator:
        """One member, ready to run; ``generation`` as in `pipeline.generators.trained.load_generator`.

        Raises:
            UserError: its file is gone, or is not the one that the set names.
        """
        from pipeline.generators.trained import load_generator

        entry = self.members[member]
        generator = load_generator(
            entry.path, device, precision, batch_size, convolutions=convolutions, generation=generation
        )
        _check_digest(entry.path, generator.sha256, entry.sha256)
        return generator


def pair_name(source: int, target: int) -> str:
    """The name of the generator from one camera to another."""
    return f"{source}->{target}"


def open_generators(name_or_path: str) -> GeneratorSet:
    """A shipped generator by name, a weights file, a training's output folder, or a folder of pairs of cameras.

    Raises:
        UserError: not found, or no generator of a recipe known here.
    """
    from pipeline.generators.trained import FILE_NAME

    folder = Path(name_or_path).expanduser()
    if (folder / PAIRS_FILE).is_file():
        return _open_pairs(name_or_path, folder)
    path = folder / FILE_NAME if folder.is_dir() else resolve(name_or_path)
    recipe, (height, width) = _checked(path)
    if recipe.name in _ONE_WAY:
        source, target = (getattr(recipe.settings, f"{role}_camera") for role in ("source", "target"))
        only = {pair_name(source, target): Member(name_or_path, file_sha256(path))}
        return GeneratorSet(name_or_path, recipe, height, width, only, (target,))
    cameras = tuple(getattr(recipe.settings, "cameras", ()))
    return GeneratorSet(name_or_path, recipe, height, width, {SINGLE: Member(name_or_path, file_sha256(path))}, cameras)


def _open_pairs(name: str, folder: Path) -> GeneratorSet:
    listed = _read_pairs(folder / PAIRS_FILE)
    members = {pair: Member(str(folder / entry.path), entry.sha256) for pair, entry in listed.generators.items()}
    known = {pair: _checked(Path(member.path)) for pair, member in members.items()}
    for member in members.values():
        _check_digest(member.path, file_sha256(Path(member.path)), member.sha256)
    first, (recipe, (height, width)) = next(iter(known.items()))
    for pair, (other, size) in known.items():
        if other.name != listed.recipe:
            raise UserError(f"{members[pair].path} is a {other.name} generator, {PAIRS_FILE} says {listed.recipe}")
        if size != (height, width):
            raise UserError(f"the generators {first} and {pair} of {folder} were trained at different sizes")
    return GeneratorSet(name, recipe, height, width, members, listed.cameras)


def _check_digest(path: str, found: str, expected: str) -> None:
    if found != expected:
        raise UserError(f"{path} has SHA-256 {found[:12]}, {expected[:12]} was expected")


def _read_pairs(path: Path) -> PairsFile:
    try:
        return PairsFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "JSON"
        raise UserError(f"{path} is no list of camera pairs: {where}: {first['msg']}") from None


def _checked(path: Path) -> tuple[Recipe, tuple[int, int]]:
    """What a weights file says of itself, recipe and size, without its weights; it must be able to hold them."""
    from pipeline.checkpoints.network_files import check_fits
    from pipeline.generators.trained import read_recipe

    recipe, size = read_recipe(path)
    check_fits(path, lambda: recipe.build_generator(size))
    return recipe, size
