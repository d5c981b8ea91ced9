"""pix2pix: translation from pairs.

Isola, Zhu, Zhou, Efros: "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, section 3, with
least squares in place of the logarithm::

    L_D = 1/2 E (D(x, y) - 1)^2 + 1/2 E D(x, G(x))^2        L_G = E (D(x, G(x)) - 1)^2 + 100 |y - G(x)|_1

A ReID set has two kinds of pairs. ``skeleton``: x is the drawing of a pose and the person's mask, y the image they were
taken from; the network makes up who it is. ``cameras``: x is an image by one camera, y the same person in a near pose
by another. The paper's only noise was dropout at test time; there is none here, so an input has one output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.losses import least_squares, mean_absolute
from pipeline.networks.blocks import Upsampling, frozen, initialize
from pipeline.networks.discriminators import PatchDiscriminator
from pipeline.networks.unet import UNet
from pipeline.recipes.base import Batch, Need, Recipe, RecipeSettings, Size, StepContext, Terms
from pipeline.training_data import BatchSource, DomainData
from pipeline.training_pairs import PosePairs, camera_partners, own_partners


class Pix2PixSettings(RecipeSettings):
    pairs: Literal["skeleton", "cameras"] = Field(default="skeleton", description="what an image is made from")
    source_camera: int | None = Field(default=None, description="cameras: the camera of x")
    target_camera: int | None = Field(default=None, description="cameras: the camera of y")
    ngf: int = Field(default=64, ge=4, description="channels of the generator's first layer (appendix 6.1.1)")
    ndf: int = Field(default=64, ge=4, description="channels of the discriminator's first layer (appendix 6.1.2)")
    upsampling: Upsampling = Field(
        default="transposed", description="transposed (the paper) or resize (no checkerboard)"
    )
    pixel_weight: float = Field(default=100.0, ge=0, description="weight of the L1 term (section 3.3)")

    @model_validator(mode="after")
    def _two_cameras(self) -> Pix2PixSettings:
        if self.pairs == "cameras" and (self.source_camera is None or self.target_camera is None):
            raise ValueError("pairs of cameras need --source-camera and --target-camera")
        return self


class Pix2Pix(Recipe):
    name = "pix2pix"
    paper = "Isola et al., CVPR 2017"
    settings_model: ClassVar[type[Pix2PixSettings]] = Pix2PixSettings
    settings: Pix2PixSettings
    roles = ("source",)
    needs: ClassVar[frozenset[Need]] = frozenset({"masks", "keypoints", "identities", "cameras"})
    columns: ClassVar[tuple[str, ...]] = ("source", "target", "skeleton", "mask")
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
    }
    exports: ClassVar[Mapping[str, str]] = {"generator": "generator"}
    label_rule = "one_hot"

    def __init__(self, settings: RecipeSettings | None = None) -> None:
        super().__init__(settings)
        self.inputs = ("skeleton", "mask") if self.settings.pairs == "skeleton" else ("source",)

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        source, settings = data["source"], self.settings
        if settings.pairs == "skeleton":
            if source.masks is None:
                raise UserError("pix2pix needs the mask of each image, and its training set knows none")
            return PosePairs(source, own_partners(source), *size, seed)
        assert settings.source_camera is not None
        assert settings.target_camera is not None
        partners = camera_partners(source, settings.source_camera, settings.target_camera)
        return PosePairs(source, partners, *size, seed)

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        judge = PatchDiscriminator(self.settings.ndf, channels_in=3 + self._channels)
        made = initialize(self.build_generator(size), generator)
        return nn.ModuleDict({"generator": made, "discriminator": initialize(judge, generator)})

    def build_generator(self, size: Size) -> nn.Module:
        return UNet(size, self._channels, self.settings.ngf, self.settings.upsampling)

    @property
    def _channels(self) -> int:
        return 4 if self.settings.pairs == "skeleton" else 3

    def condition(self, batch: Batch) -> Tensor:
        """x: (N, 4, H, W) drawing and mask, or (N, 3, H, W) an image; in [-1, 1]."""
        if self.settings.pairs == "cameras":
            return batch["source"]
        return torch.cat([batch["skeleton"], 2 * batch["mask"] - 1], dim=1)

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        judge, given, target = networks["discriminator"], self.condition(batch), batch["target"]
        made = networks["generator"](given)
        on_real = judge(torch.cat([given, target], dim=1))
        on_fake = judge(torch.cat([given, made.detach().to(given.dtype)], dim=1))
        yield (
            "discriminator",
            {"judge": 0.5 * (least_squares(on_real, real=True) + least_squares(on_fake, real=False))},
        )
        with frozen(judge):
            on_fake = judge(torch.cat([given, made.to(given.dtype)], dim=1))
        yield (
            "generator",
            {
                "adversarial": least_squares(on_fake, real=True),
                "pixels": self.settings.pixel_weight * mean_absolute(made, target),
            },
        )

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        made: Tensor = generator(self.condition(batch))
        return made

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        given = {"given": batch["source"]} if self.settings.pairs == "cameras" else {"given": batch["skeleton"]}
        return given | {"generated": self.generate(networks["generator"], batch), "real": batch["target"]}
