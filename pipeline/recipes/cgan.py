"""Conditional GAN: random people as a camera sees them, in a class of pose if asked for.

The networks and objective of `pipeline.recipes.gan_lsro`, told which camera (Mirza, Osindero: "Conditional Generative
Adversarial Nets", 2014, section 3.2): as one-hot numbers beside the noise, and as a projection in the discriminator
(Miyato, Koyama, ICLR 2018, equation 4). The discriminator may also name the camera, and the generator is then asked to
have its camera named (Odena, Olah, Shlens: "Conditional Image Synthesis with Auxiliary Classifier GANs", ICML 2017,
section 3)::

    L_D += w CE(C(x), camera of x)        L_G += w CE(C(G(z, camera)), camera)

Only real images teach the classifier: it should know the cameras, not what the generator makes of them.
An identity as the condition would be learned by heart: there are about 17 images of a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.networks.dcgan import DCGANDiscriminator, DCGANGenerator, Judgement, evaluating
from pipeline.recipes.base import Batch, Need, Size, Terms
from pipeline.recipes.gan_lsro import GanLsro, GanLsroSettings
from pipeline.training_crops import TrainingCrops
from pipeline.training_data import BatchSource, DomainData


class CGANSettings(GanLsroSettings):
    class_weight: float = Field(
        default=1.0, ge=0, description="w: weight of the classification of conditions (AC-GAN, section 3); 0: none"
    )
    cameras: tuple[int, ...] = Field(default=(), description="numbers of the cameras; by default those of the data")


class CGAN(GanLsro):
    name = "cgan"
    paper = "Mirza, Osindero 2014; Miyato, Koyama, ICLR 2018"
    settings_model: ClassVar[type[CGANSettings]] = CGANSettings
    settings: CGANSettings
    needs: ClassVar[frozenset[Need]] = frozenset({"cameras"})
    columns: ClassVar[tuple[str, ...]] = ("image", "camera")
    inputs: ClassVar[tuple[str, ...]] = ("noise", "camera")

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        cameras = _cameras(data["source"])
        if (cameras < 0).any():
            raise UserError("cgan needs the camera of each image: leave out those without")
        found = {"cameras": tuple(int(camera) for camera in np.unique(cameras))}
        return type(self)(self.settings.model_copy(update=found))

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        cameras = np.searchsorted(self.settings.cameras, _cameras(data["source"]))
        return TrainingCrops(data["source"], *size, seed, {"camera": cameras})

    def build_generator(self, size: Size) -> nn.Module:
        inputs = self.settings.noise_size + sum(self.classes.values())
        return DCGANGenerator(size, self.settings.ngf, inputs, self.settings.upsampling)

    def build_discriminator(self, size: Size) -> nn.Module:
        guesses = self.settings.class_weight > 0
        return DCGANDiscriminator(size, self.settings.ndf, tuple(self.classes.values()), guesses)

    @property
    def classes(self) -> dict[str, int]:
        """How many classes each condition has, by column."""
        if not self.settings.cameras:
            raise UserError("cgan does not know its cameras yet: fit it to its training set first")
        return {"camera": len(self.settings.cameras)}

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
    if data.cameras is None:
        raise UserError("cgan needs the camera of each image, and its training set knows none")
    return data.cameras
