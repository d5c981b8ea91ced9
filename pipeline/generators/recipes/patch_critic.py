"""What recipes share whose discriminators judge patches: how large their patches are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from manifests.errors import UserError
from pipeline.generators.networks.discriminators import (
    PUBLISHED_LAYERS,
    PatchDiscriminator,
    patch_layers,
    smallest_side,
)
from pipeline.generators.recipes.base import Recipe, RecipeSettings, Size


class PatchCriticSettings(RecipeSettings):
    ndf: int = Field(
        default=64, ge=4, le=1024, description="channels of the discriminator's first layer (pix2pix, appendix 6.1.2)"
    )
    judge_layers: int | None = Field(
        default=None,
        ge=1,
        le=5,
        description="strided convolutions of the discriminator, which sees patches of 16, 34, 70 (3: the paper), 142 "
        "or 286 pixels; by default the most up to 3 whose patch is at most 2/3 of the height: 2 at 64 x 32",
    )

    def choices(self, size: Size) -> dict[str, Any]:
        """As `RecipeSettings.choices`."""
        return super().choices(size) | {"judge_layers": patch_layers(size)}


class PatchCriticRecipe(Recipe):
    """A recipe with one or more discriminators of patches."""

    settings: PatchCriticSettings
    before: ClassVar[Mapping[str, Any]] = {"judge_layers": PUBLISHED_LAYERS}

    def build_critic(self, size: Size, channels_in: int = 3) -> PatchDiscriminator:
        """A discriminator for images of ``size``, uninitialised.

        Raises:
            UserError: the images are too small for its layers.
        """
        layers = self.settings.judge_layers or patch_layers(size)
        if min(size) < smallest_side(layers):
            raise UserError(
                f"a discriminator of {layers} layers needs images of {smallest_side(layers)} pixels a side, these are "
                f"{size[0]} x {size[1]}: lower --judge-layers, or leave it out"
            )
        return PatchDiscriminator(self.settings.ndf, layers, channels_in)
