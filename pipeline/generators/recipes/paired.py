"""What recipes share that learn from pairs: an input and the image that should come out of it.

Isola et al., CVPR 2017, section 3, with least squares in place of the logarithm::

    L_D = 1/2 E (D(y) - 1)^2 + 1/2 E D(G(x))^2        L_G = E (D(G(x)) - 1)^2 + l |y - G(x)|_1

y is the batch's ``target``; a recipe says what x is, and whether D sees some of it beside the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.generators.losses.adversarial import least_squares
from pipeline.generators.losses.likeness import mean_absolute
from pipeline.generators.networks.blocks import frozen, initialize
from pipeline.generators.recipes.base import Batch, DoublingSettings, Size, StepContext, Terms
from pipeline.generators.recipes.patch_critic import PatchCriticRecipe, PatchCriticSettings


class PairedSettings(DoublingSettings, PatchCriticSettings):
    ngf: int = Field(default=64, ge=4, le=1024, description="channels of the generator's first layer (the papers: 64)")
    pixel_weight: float = Field(ge=0, description="weight of the L1 term")


class PairedRecipe(PatchCriticRecipe):
    settings: PairedSettings
    roles = ("source",)
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
    }
    exports: ClassVar[Mapping[str, str]] = {"generator": "generator"}
    shown_channels: ClassVar[int] = 3
    """Of `shown`."""

    def shown(self, images: Tensor, batch: Batch) -> Tensor:
        """What the discriminator sees of ``images`` and batch: the images alone, where a recipe adds nothing."""
        return images

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        made = initialize(self.build_generator(size), generator)
        judge = initialize(self.build_critic(size, self.shown_channels), generator)
        return nn.ModuleDict({"generator": made, "discriminator": judge})

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        judge, target = networks["discriminator"], batch["target"]
        made = self.generate(networks["generator"], batch)
        on_real = judge(self.shown(target, batch))
        on_fake = judge(self.shown(made.detach().to(target.dtype), batch))
        yield (
            "discriminator",
            {"judge": 0.5 * (least_squares(on_real, real=True) + least_squares(on_fake, real=False))},
        )
        with frozen(judge):
            on_fake = judge(self.shown(made.to(target.dtype), batch))
        yield (
            "generator",
            {
                "adversarial": least_squares(on_fake, real=True),
                "pixels": self.settings.pixel_weight * mean_absolute(made, target),
            },
        )
