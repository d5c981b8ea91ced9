"""PN-GAN: the same person in another pose.

Qian, Fu, Xiang, Wang, Qiu, Wu, Jiang, Xue: "Pose-Normalized Image Generation for Person Re-identification", ECCV 2018,
section 3.2; see `pipeline.generators.recipes.paired` for the loss, whose l is 10 here.

The generator sees x and p, y should come out: x and y are two images of one person, p the drawing of y's pose. The
discriminator sees the image alone, not the pose, and its real image is y (the published code shows it x). At generation
p is one of eight canonical poses, the centres of the training set's poses, or any other; what a ReID network makes of
the eight is fused by `pipeline.reid.fusion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.annotation.canonical_poses import CanonicalPoses, PoseCount, canonical_shares
from pipeline.generators.batches.pairs import PosePairs, identity_partners
from pipeline.generators.networks.blocks import Norm
from pipeline.generators.networks.generators import ResnetGenerator
from pipeline.generators.recipes.base import Batch, Need, Size
from pipeline.generators.recipes.paired import PairedRecipe, PairedSettings
from pipeline.training.data import BatchSource, DomainData


class PNGANSettings(PairedSettings):
    blocks: int = Field(default=9, ge=1, le=100, description="residual blocks (section 3.2)")
    norm: Norm = Field(
        default="instance", description="instance (the paper), or pixel: the colours of clothes are seen (ours)"
    )
    pixel_weight: float = Field(default=10.0, ge=0, description="weight of the L1 term (section 3.2)")
    poses: PoseCount = Field(default=8, description="canonical poses (section 3.3)")
    canonical_poses: CanonicalPoses = ()


class PNGAN(PairedRecipe):
    name = "pngan"
    paper = "Qian et al., ECCV 2018"
    settings_model: ClassVar[type[PNGANSettings]] = PNGANSettings
    settings: PNGANSettings
    needs: frozenset[Need] = frozenset({"keypoints", "identities"})
    inputs: ClassVar[tuple[str, ...]] = ("source", "skeleton")
    label_rule = "lsr"

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        if self.settings.canonical_poses:
            return self
        poses = canonical_shares(data["source"], self.settings.poses, self.name)
        return type(self)(self.settings.model_copy(update={"canonical_poses": poses}))

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        return PosePairs(data["source"], identity_partners(data["source"]), *size, seed)

    def build_generator(self, size: Size) -> nn.Module:
        settings = self.settings
        return ResnetGenerator(settings.ngf, settings.blocks, settings.doubling, channels_in=6, norm=settings.norm)

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        made: Tensor = generator(torch.cat([batch["source"], batch["skeleton"]], dim=1))
        return made

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        made = self.generate(networks["generator"], batch)
        return {"source": batch["source"], "pose": batch["skeleton"], "generated": made, "real": batch["target"]}
