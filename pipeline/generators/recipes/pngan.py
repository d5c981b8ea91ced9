"""PN-GAN: the same person in another pose.

Qian, Fu, Xiang, Wang, Qiu, Wu, Jiang, Xue: "Pose-Normalized Image Generation for Person Re-identification", ECCV 2018,
section 3.2::

    L_D = 1/2 E (D(y) - 1)^2 + 1/2 E D(G(x, p))^2        L_G = E (D(G(x, p)) - 1)^2 + 10 |y - G(x, p)|_1

x and y are two images of one person, p the drawing of y's pose. The discriminator does not see the pose, and its real
image is y (the published code shows it x). At generation p is one of eight canonical poses, the centres of the training
set's poses, or any other; what a ReID network makes of the eight is fused by `pipeline.reid.fusion`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.annotation.canonical_poses import CanonicalPose, fit_canonical_poses
from pipeline.generators.batches.pairs import PosePairs, identity_partners
from pipeline.generators.losses import least_squares, mean_absolute
from pipeline.generators.networks.blocks import Norm, frozen, initialize
from pipeline.generators.networks.discriminators import PatchDiscriminator
from pipeline.generators.networks.generators import ResnetGenerator
from pipeline.generators.recipes.base import (
    Batch,
    Need,
    Recipe,
    RecipeSettings,
    Size,
    StepContext,
    Terms,
    UpsamplingSetting,
)
from pipeline.training.data import BatchSource, DomainData


class PNGANSettings(RecipeSettings):
    ngf: int = Field(default=64, ge=4, le=1024, description="channels of the generator's first layer")
    blocks: int = Field(default=9, ge=1, le=100, description="residual blocks (section 3.2)")
    ndf: int = Field(default=64, ge=4, le=1024, description="channels of the discriminator's first layer")
    upsampling: UpsamplingSetting = "transposed"
    norm: Norm = Field(
        default="instance", description="instance (the paper), or pixel: the colours of clothes are seen (ours)"
    )
    pixel_weight: float = Field(default=10.0, ge=0, description="weight of the L1 term (section 3.2)")
    poses: int = Field(default=8, ge=1, le=1000, description="canonical poses (section 3.3)")
    canonical_poses: tuple[CanonicalPose, ...] = Field(
        default=(), description="17 points each, in shares of width and height; by default the centres of the data"
    )


class PNGAN(Recipe):
    name = "pngan"
    paper = "Qian et al., ECCV 2018"
    settings_model: ClassVar[type[PNGANSettings]] = PNGANSettings
    settings: PNGANSettings
    roles = ("source",)
    needs: frozenset[Need] = frozenset({"keypoints", "identities"})
    inputs: ClassVar[tuple[str, ...]] = ("source", "skeleton")
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
    }
    exports: ClassVar[Mapping[str, str]] = {"generator": "generator"}
    label_rule = "lsr"

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        if self.settings.canonical_poses:
            return self
        source = data["source"]
        if source.keypoints is None:
            raise UserError("pngan needs the keypoints of each image, and its training set knows none")
        height, width = source.images.shape[1:3]
        centres = fit_canonical_poses(source.keypoints, height, width, self.settings.poses)
        poses = tuple(tuple((round(float(x), 4), round(float(y), 4)) for x, y in centre) for centre in centres)
        return type(self)(self.settings.model_copy(update={"canonical_poses": poses}))

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        return PosePairs(data["source"], identity_partners(data["source"]), *size, seed)

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        made = initialize(self.build_generator(size), generator)
        judge = initialize(PatchDiscriminator(self.settings.ndf), generator)
        return nn.ModuleDict({"generator": made, "discriminator": judge})

    def build_generator(self, size: Size) -> nn.Module:
        settings = self.settings
        return ResnetGenerator(settings.ngf, settings.blocks, settings.upsampling, channels_in=6, norm=settings.norm)

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        judge, target = networks["discriminator"], batch["target"]
        made = self.generate(networks["generator"], batch)
        on_real, on_fake = judge(target), judge(made.detach().to(target.dtype))
        yield (
            "discriminator",
            {"judge": 0.5 * (least_squares(on_real, real=True) + least_squares(on_fake, real=False))},
        )
        with frozen(judge):
            on_fake = judge(made)
        yield (
            "generator",
            {
                "adversarial": least_squares(on_fake, real=True),
                "pixels": self.settings.pixel_weight * mean_absolute(made, target),
            },
        )

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        made: Tensor = generator(torch.cat([batch["source"], batch["skeleton"]], dim=1))
        return made

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        made = self.generate(networks["generator"], batch)
        return {"source": batch["source"], "pose": batch["skeleton"], "generated": made, "real": batch["target"]}
