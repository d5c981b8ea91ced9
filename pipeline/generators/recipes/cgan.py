"""Conditional GAN: random people as a camera sees them, in a class of pose if asked for.

The networks and objective of `pipeline.generators.recipes.gan_lsro`, told which camera (Mirza, Osindero: "Conditional
Generative Adversarial Nets", 2014, section 3.2): as one-hot numbers beside the noise, and as a projection in the
discriminator (Miyato, Koyama, ICLR 2018, equation 4). The discriminator may also name the camera, and the generator is
then asked to have its camera named (Odena, Olah, Shlens: "Conditional Image Synthesis with Auxiliary Classifier GANs",
ICML 2017, section 3)::

    L_D += w CE(C(x), camera of x)        L_G += w CE(C(G(z, camera)), camera)

Only real images teach the classifier: it should know the cameras, not what the generator makes of them.
An identity as the condition would be learned by heart: there are about 17 images of a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.annotation.canonical_poses import CanonicalPose, canonical_shares, pose_classes
from pipeline.generators.batches.crops import TrainingCrops, mirrored
from pipeline.generators.networks.dcgan import DCGANDiscriminator, DCGANGenerator, Judgement, evaluating
from pipeline.generators.recipes.base import Batch, Need, Size, Terms
from pipeline.generators.recipes.gan_lsro import GanLsro, GanLsroSettings
from pipeline.training.data import BatchSource, Camera, DomainData, needed

_CLASSING = "cgan with --pose-classes"


class CGANSettings(GanLsroSettings):
    class_weight: float = Field(
        default=3.0,
        ge=0,
        description="w: weight of naming the conditions (AC-GAN: 1, which learns them later); 0: none",
    )
    cameras: tuple[Camera, ...] = Field(default=(), description="numbers of the cameras; by default those of the data")
    pose_classes: int = Field(default=0, ge=0, le=1000, description="classes of poses as a second condition; 0: none")
    canonical_poses: tuple[CanonicalPose, ...] = Field(
        default=(), description="their centres, 17 points each in shares of width and height; by default the data's"
    )


class CGAN(GanLsro):
    name = "cgan"
    paper = "Mirza, Osindero 2014; Miyato, Koyama, ICLR 2018"
    settings_model: ClassVar[type[CGANSettings]] = CGANSettings
    settings: CGANSettings

    @property
    def classes(self) -> dict[str, int]:
        """How many classes each condition has, by column."""
        if not self.settings.cameras:
            raise UserError("cgan does not know its cameras yet: fit it to its training set first")
        if len(self.settings.canonical_poses) != self.settings.pose_classes:
            known, asked = len(self.settings.canonical_poses), self.settings.pose_classes
            raise UserError(f"cgan has {asked} classes of poses and {known} canonical poses: fit it first")
        poses = {"pose_class": self.settings.pose_classes} if self.settings.pose_classes else {}
        return {"camera": len(self.settings.cameras), **poses}

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        return frozenset({"cameras", "keypoints"} if self.settings.pose_classes else {"cameras"})

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("noise", *self._conditions)

    @property
    def _conditions(self) -> tuple[str, ...]:
        return ("camera", "pose_class") if self.settings.pose_classes else ("camera",)

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        source, count = data["source"], self.settings.pose_classes
        cameras = _cameras(source)
        if (cameras < 0).any():
            raise UserError("cgan needs the camera of each image: leave out those without")
        found: dict[str, Any] = {"cameras": tuple(int(camera) for camera in np.unique(cameras))}
        if count:
            found["canonical_poses"] = canonical_shares(source, count, _CLASSING)
        return type(self)(self.settings.model_copy(update=found))

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        source = data["source"]
        conditions = {"camera": np.searchsorted(self.settings.cameras, _cameras(source))}
        if self.settings.pose_classes:
            poses = self._pose_classes(source)
            rows = np.flatnonzero((poses >= 0).all(axis=1))  # the others have no torso to be classed by
            source, conditions = source.take(rows), {"camera": conditions["camera"][rows], "pose_class": poses[rows]}
        return TrainingCrops(source, *size, seed, conditions)

    def _pose_classes(self, data: DomainData) -> NDArray[np.int64]:
        """(N, 2): the class of each image's pose, and that of its mirror image."""
        height, width = data.images.shape[1:3]
        points = needed(data.keypoints, "keypoints", _CLASSING)
        centres = np.array(self.settings.canonical_poses, np.float32)
        both = (pose_classes(each, centres, height, width) for each in (points, mirrored(points, width)))
        return np.stack(list(both), axis=1)

    def build_generator(self, size: Size) -> nn.Module:
        inputs = self.settings.noise_size + sum(self.classes.values())
        return DCGANGenerator(size, self.settings.ngf, inputs, self.settings.doubling)

    def build_discriminator(self, size: Size) -> nn.Module:
        guesses = self.settings.class_weight > 0
        return DCGANDiscriminator(size, self.settings.ndf, tuple(self.classes.values()), guesses)

    def conditions(self, batch: Batch) -> Tensor:
        """One-hot numbers of all conditions side by side, (N, sum of `classes`) float32."""
        parts = [F.one_hot(batch[name], count) for name, count in self.classes.items()]
        return torch.cat(parts, dim=1).float()

    def discriminator_terms(self, on_real: Judgement, on_fake: Judgement, batch: Batch) -> Terms:
        return super().discriminator_terms(on_real, on_fake, batch) | self._class_terms(on_real, batch, "known")

    def generator_terms(self, on_fake: Judgement, batch: Batch) -> Terms:
        return super().generator_terms(on_fake, batch) | self._class_terms(on_fake, batch, "named")

    def _class_terms(self, judgement: Judgement, batch: Batch, term: str) -> Terms:
        """Cross-entropy of each guess, weighted; nothing where the discriminator makes none."""
        return {
            f"{name}_{term}": self.settings.class_weight * F.cross_entropy(guess.float(), batch[name])
            for name, guess in zip(self.classes, judgement.guesses, strict=False)
        }

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        """A real image, then one noise a row as each camera sees it."""
        rows = len(batch["image"])
        noise = self.preview_noise(rows).to(batch["image"].device)
        columns = {"real": batch["image"]}
        with evaluating(networks["generator"]):
            for index, camera in enumerate(self.settings.cameras):
                asked = {**batch, "noise": noise, "camera": torch.full((rows,), index, device=noise.device)}
                columns[f"camera {camera}"] = self.generate(networks["generator"], asked)
        return columns


def _cameras(data: DomainData) -> NDArray[np.int64]:
    return needed(data.cameras, "camera", CGAN.name)
