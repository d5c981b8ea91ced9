"""The systems that the product can train and generate with, by name."""

from __future__ import annotations

from manifests.errors import UserError
from pipeline.generators.recipes.base import Recipe
from pipeline.generators.recipes.camstyle import CamStyle
from pipeline.generators.recipes.camstyle_multidomain import CamStyleMultidomain
from pipeline.generators.recipes.cgan import CGAN
from pipeline.generators.recipes.cyclegan import CycleGAN
from pipeline.generators.recipes.gan_lsro import GanLsro
from pipeline.generators.recipes.humble import ColourJitter, ColourJitterCameras, Reinhard, ReinhardCameras
from pipeline.generators.recipes.part_warp import PartWarp
from pipeline.generators.recipes.pasted import Pasted, PastedCameras
from pipeline.generators.recipes.personflow import PersonFlow
from pipeline.generators.recipes.pix2pix import Pix2Pix, Pix2PixCameras
from pipeline.generators.recipes.pngan import PNGAN
from pipeline.generators.recipes.ptgan import PTGAN
from pipeline.generators.recipes.spgan import SPGAN

RECIPES: dict[str, type[Recipe]] = {
    recipe.name: recipe
    for recipe in (
        *(GanLsro, CGAN, Pix2Pix, Pix2PixCameras, CycleGAN),
        *(CamStyle, CamStyleMultidomain, PTGAN, SPGAN, PNGAN, PersonFlow),
        *(Reinhard, ReinhardCameras, ColourJitter, ColourJitterCameras, Pasted, PastedCameras, PartWarp),
    )
}


def find_recipe(name: str) -> type[Recipe]:
    """The recipe of that name.

    Raises:
        UserError: there is none; the message lists those there are.
    """
    if name not in RECIPES:
        raise UserError(f"unknown recipe {name!r}; known: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
