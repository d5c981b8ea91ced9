"""pix2pix: translation from pairs.

Isola, Zhu, Zhou, Efros: "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, section 3; see
`pipeline.generators.recipes.paired` for the loss, whose l is 100 here and whose discriminator sees x too.

A ReID set has two kinds of pairs. `Pix2Pix`: x is the drawing of a pose and the person's mask, y the image they were
taken from; the network makes up who it is. What it makes has the pose and outline of a person and the clothes of
nobody: its row names nobody, and its label is 1/K for each of the K identities (LSRO). `Pix2PixCameras`: x is an image
by one camera, y the same person in a near pose by another. The paper's only noise was dropout at test time; there is
none here, so an input has one output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.generators.batches.pairs import PosePairs, camera_partners, own_partners
from pipeline.generators.networks.unet import UNet
from pipeline.generators.recipes.base import Batch, Need, Size
from pipeline.generators.recipes.paired import PairedRecipe, PairedSettings
from pipeline.training.data import BatchSource, Camera, DomainData


class Pix2PixSettings(PairedSettings):
    pixel_weight: float = Field(default=100.0, ge=0, description="weight of the L1 term (section 3.3)")


class Pix2Pix(PairedRecipe):
    name = "pix2pix"
    paper = "Isola et al., CVPR 2017"
    settings_model: ClassVar[type[Pix2PixSettings]] = Pix2PixSettings
    settings: Pix2PixSettings
    needs: frozenset[Need] = frozenset({"masks", "keypoints"})
    inputs: ClassVar[tuple[str, ...]] = ("skeleton", "mask")
    label_rule = "lsro"
    channels: ClassVar[int] = 4
    """Of `condition`."""
    shown_channels: ClassVar[int] = 3 + 4

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        if data["source"].masks is None:
            raise UserError("pix2pix needs the mask of each image, and its training set knows none")
        return PosePairs(data["source"], own_partners(data["source"]), *size, seed)

    def build_generator(self, size: Size) -> nn.Module:
        return UNet(size, self.channels, self.settings.ngf, self.settings.doubling)

    def condition(self, batch: Batch) -> Tensor:
        """x: drawing and mask, (N, 4, H, W) in [-1, 1]."""
        return torch.cat([batch["skeleton"], 2 * batch["mask"] - 1], dim=1)

    def shown(self, images: Tensor, batch: Batch) -> Tensor:
        return torch.cat([self.condition(batch), images], dim=1)

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        made: Tensor = generator(self.condition(batch))
        return made

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        made = self.generate(networks["generator"], batch)
        return {self.inputs[0]: batch[self.inputs[0]], "generated": made, "real": batch["target"]}


class Pix2PixCamerasSettings(Pix2PixSettings):
    source_camera: Camera = Field(default=1, description="number of the camera of x")
    target_camera: Camera = Field(default=2, description="number of the camera of y")


class Pix2PixCameras(Pix2Pix):
    """The same from one camera to another: pairs are of one person in near poses."""

    name = "pix2pix_cameras"
    settings_model: ClassVar[type[Pix2PixSettings]] = Pix2PixCamerasSettings
    settings: Pix2PixCamerasSettings
    needs: frozenset[Need] = frozenset({"keypoints", "identities", "cameras"})
    inputs: ClassVar[tuple[str, ...]] = ("source",)
    label_rule = "one_hot"
    channels: ClassVar[int] = 3
    shown_channels: ClassVar[int] = 3 + 3

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        settings = self.settings
        partners = camera_partners(data["source"], settings.source_camera, settings.target_camera)
        return PosePairs(data["source"], partners, *size, seed)

    def condition(self, batch: Batch) -> Tensor:
        """x: an image, (N, 3, H, W) in [-1, 1]."""
        return batch["source"]
