"""CamStyle with one generator for all cameras, in place of one for every two.

The labels and the purpose are CamStyle's (see `pipeline.generators.recipes.camstyle`); the training is StarGAN's
(Choi et al., "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation", CVPR 2018,
section 3), which HHL (Zhong et al., ECCV 2018) brought to the cameras of ReID sets::

    L_D = -E D(x) + E D(G(x, t)) + 10 E (|grad D(x~)|_2 - 1)^2 + l_cls CE(C(x), own camera)
    L_G = -E D(G(x, t)) + l_cls CE(C(G(x, t)), t) + l_rec |x - G(G(x, t), own camera)|_1

t is another camera than the image's own, x~ a random mixture of a real and a generated image. The critic moves in every
step, the generator in every `critic_steps`-th.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from manifests.errors import UserError
from pipeline.generators.batches.cameras import CameraBatches
from pipeline.generators.losses.adversarial import gradient_penalty, least_squares
from pipeline.generators.losses.likeness import identity_mask, mean_absolute
from pipeline.generators.networks.blocks import frozen, initialize
from pipeline.generators.networks.stargan import CameraCritic, CameraGenerator
from pipeline.generators.recipes.base import Batch, Need, Recipe, ResnetSettings, Size, StepContext, Terms
from pipeline.training.data import BatchSource, Camera, DomainData


class CamStyleMultidomainSettings(ResnetSettings):
    learning_rate: float = Field(
        default=1e-4, gt=0, description="Adam's step size, of generator and critic (StarGAN, section 5.3; HHL's code)"
    )
    blocks: int = Field(default=6, ge=1, le=100, description="residual blocks (StarGAN, table 4)")
    ndf: int = Field(default=64, ge=4, le=1024, description="channels of the critic's first layer (StarGAN, table 5)")
    objective: Literal["wasserstein", "least_squares"] = Field(
        default="wasserstein", description="wasserstein, with gradient penalty (the paper); least_squares: LSGAN"
    )
    critic_steps: int = Field(default=5, ge=1, description="critic updates for each of the generator (section 5.3: 5)")
    penalty_weight: float = Field(
        default=10.0, ge=0, description="of the gradient penalty (equation 8); least_squares has none"
    )
    class_weight: float = Field(default=1.0, ge=0, description="l_cls (section 3.1)")
    reconstruction_weight: float = Field(default=10.0, ge=0, description="l_rec (section 3.1)")
    mapping_weight: float = Field(
        default=0.0, ge=0, description="of |x - G(x, own camera)|_1, as CycleGAN's identity mapping (ours)"
    )
    identity_weight: float = Field(
        default=0.0, ge=0, description="of PTGAN's person term, which keeps what the mask covers (ours; needs masks)"
    )
    cameras: tuple[Camera, ...] = Field(default=(), description="numbers of the cameras; by default those of the data")


class CamStyleMultidomain(Recipe):
    name = "camstyle_multidomain"
    paper = "Zhong et al., CVPR 2018 and ECCV 2018; Choi et al., CVPR 2018"
    settings_model: ClassVar[type[CamStyleMultidomainSettings]] = CamStyleMultidomainSettings
    settings: CamStyleMultidomainSettings
    roles = ("source",)
    inputs: ClassVar[tuple[str, ...]] = ("source", "camera")
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {"critic": ("critic",), "generator": ("generator",)}
    exports: ClassVar[Mapping[str, str]] = {"generator": "generator"}
    label_rule = "lsr"

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        return frozenset({"cameras", "masks"} if self.settings.identity_weight else {"cameras"})

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        found = data["source"].cameras
        cameras = () if found is None else tuple(int(camera) for camera in np.unique(found) if camera >= 0)
        if len(cameras) < 2 or (found is not None and (found < 0).any()):
            raise UserError(f"{self.name} needs the camera of each image, and two cameras or more; found {cameras}")
        return type(self)(self.settings.model_copy(update={"cameras": cameras}))

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        return CameraBatches(data["source"], self.settings.cameras, *size, seed, "masks" in self.needs)

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        critic = CameraCritic(size, len(self.settings.cameras), self.settings.ndf)
        made = initialize(self.build_generator(size), generator)
        return nn.ModuleDict({"generator": made, "critic": initialize(critic, generator)})

    def build_generator(self, size: Size) -> nn.Module:
        settings = self.settings
        if not settings.cameras:
            raise UserError(f"{self.name} does not know its cameras yet: fit it to its training set first")
        return CameraGenerator(
            len(settings.cameras), settings.ngf, settings.blocks, settings.doubling, settings.skip, settings.norm
        )

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        with torch.no_grad():
            fake = networks["generator"](batch["source"], batch["target_camera"])
        yield "critic", self.critic_terms(networks["critic"], batch, fake, context)
        if (context.step + 1) % self.settings.critic_steps == 0:
            with frozen(networks["critic"]):
                terms = self.generator_terms(networks, batch)
            yield "generator", terms

    def critic_terms(self, critic: nn.Module, batch: Batch, fake: Tensor, context: StepContext) -> Terms:
        real = batch["source"]
        (on_real, cameras), (on_fake, _) = critic(real), critic(fake)
        known = functional.cross_entropy(cameras.float(), batch["camera"])
        terms = {"camera_known": self.settings.class_weight * known}
        if self.settings.objective == "least_squares":
            halves = least_squares(on_real, real=True) + least_squares(on_fake, real=False)
            return terms | {"critic": 0.5 * halves}
        share = torch.from_numpy(context.rng.random((len(real), 1, 1, 1), dtype=np.float32)).to(real.device)
        penalty = gradient_penalty(lambda images: critic(images)[0], real, fake, share)
        return terms | {
            "critic": on_fake.float().mean() - on_real.float().mean(),
            "penalty": self.settings.penalty_weight * penalty,
        }

    def generator_terms(self, networks: nn.ModuleDict, batch: Batch) -> Terms:
        made = networks["generator"](batch["source"], batch["target_camera"])
        scores, cameras = networks["critic"](made)
        back = networks["generator"](made, batch["camera"])
        least = self.settings.objective == "least_squares"
        named = functional.cross_entropy(cameras.float(), batch["target_camera"])
        terms = {
            "adversarial": least_squares(scores, real=True) if least else -scores.float().mean(),
            "camera_named": self.settings.class_weight * named,
            "reconstruction": self.settings.reconstruction_weight * mean_absolute(back, batch["source"]),
        }
        if self.settings.mapping_weight:
            same = networks["generator"](batch["source"], batch["camera"])
            terms["mapping"] = self.settings.mapping_weight * mean_absolute(same, batch["source"])
        if self.settings.identity_weight:
            terms["identity"] = self.settings.identity_weight * identity_mask(made, batch["source"], batch["mask"])
        return terms

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        made: Tensor = generator(batch["source"], batch["camera"])
        return made

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        """The source, then the same as each camera would see it."""
        columns = {"source": batch["source"]}
        for index, camera in enumerate(self.settings.cameras):
            asked = torch.full_like(batch["camera"], index)
            columns[f"camera {camera}"] = networks["generator"](batch["source"], asked)
        return columns
