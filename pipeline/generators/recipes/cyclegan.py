"""CycleGAN: unpaired translation between two domains.

Zhu, Park, Isola, Efros: "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
ICCV 2017, sections 3 and 4::

    L(G, F, D_A, D_B) = L_GAN(G, D_B) + L_GAN(F, D_A)
                      + l_cyc (|F(G(a)) - a|_1 + |G(F(b)) - b|_1)
                      + l_map (|G(b) - b|_1 + |F(a) - a|_1)

with G: A -> B, F: B -> A and least-squares adversarial losses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.generators.losses.adversarial import least_squares
from pipeline.generators.losses.likeness import mean_absolute
from pipeline.generators.networks.blocks import frozen, initialize
from pipeline.generators.networks.generators import ResnetGenerator
from pipeline.generators.recipes.base import Batch, ResnetSettings, Size, StepContext, Terms
from pipeline.generators.recipes.patch_critic import PatchCriticRecipe, PatchCriticSettings


class CycleGANSettings(ResnetSettings, PatchCriticSettings):
    cycle_weight: float = Field(default=10.0, ge=0, description="l_cyc (section 4)")
    mapping_weight: float = Field(default=5.0, ge=0, description="l_map: half of l_cyc (section 5.2)")


class Translations(NamedTuple):
    """Both domains through both generators; the last two are None where no term asks for them."""

    fake_target: Tensor
    fake_source: Tensor
    cycled_source: Tensor
    cycled_target: Tensor
    mapped_target: Tensor | None
    mapped_source: Tensor | None


class CycleGAN(PatchCriticRecipe):
    name = "cyclegan"
    paper = "Zhu et al., ICCV 2017"
    settings_model: ClassVar[type[CycleGANSettings]] = CycleGANSettings
    settings: CycleGANSettings
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generators": ("source_to_target", "target_to_source"),
        "discriminators": ("source_judge", "target_judge"),
    }
    pool_names = ("source", "target")
    exports: ClassVar[Mapping[str, str]] = {"generator": "source_to_target", "generator_back": "target_to_source"}
    label_rule = "lsr"

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        networks = {name: self.build_generator(size) for name in self.players["generators"]}
        networks |= {name: self.build_critic(size) for name in self.players["discriminators"]}
        return nn.ModuleDict({name: initialize(network, generator) for name, network in networks.items()})

    def build_generator(self, size: Size) -> nn.Module:
        settings = self.settings
        return ResnetGenerator(settings.ngf, settings.blocks, settings.doubling, skip=settings.skip, norm=settings.norm)

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        made = self.translate(networks, batch)
        with frozen(networks["source_judge"], networks["target_judge"]):
            terms = self.generator_terms(networks, batch, made)
        yield "generators", terms
        yield "discriminators", self.judge_terms(networks, batch, made.fake_target, made.fake_source, context)

    def translate(self, networks: nn.ModuleDict, batch: Batch) -> Translations:
        source, target = batch["source"], batch["target"]
        forth, back = networks["source_to_target"], networks["target_to_source"]
        if self.settings.mapping_weight:
            fake_target, mapped_target = forth(torch.cat([source, target])).chunk(2)
            fake_source, mapped_source = back(torch.cat([target, source])).chunk(2)
        else:
            fake_target, fake_source = forth(source), back(target)
            mapped_target = mapped_source = None
        return Translations(
            fake_target, fake_source, back(fake_target), forth(fake_source), mapped_target, mapped_source
        )

    def generator_terms(self, networks: nn.ModuleDict, batch: Batch, made: Translations) -> Terms:
        source, target = batch["source"], batch["target"]
        cycle = mean_absolute(made.cycled_source, source) + mean_absolute(made.cycled_target, target)
        terms = {
            "adversarial_target": least_squares(networks["target_judge"](made.fake_target), real=True),
            "adversarial_source": least_squares(networks["source_judge"](made.fake_source), real=True),
            "cycle": self.settings.cycle_weight * cycle,
        }
        if made.mapped_target is not None and made.mapped_source is not None:
            mapping = mean_absolute(made.mapped_target, target) + mean_absolute(made.mapped_source, source)
            terms["mapping"] = self.settings.mapping_weight * mapping
        return terms

    def judge_terms(
        self, networks: nn.ModuleDict, batch: Batch, fake_target: Tensor, fake_source: Tensor, context: StepContext
    ) -> Terms:
        """Of both discriminators, who are shown older fakes too."""
        old_target = context.pools["target"].exchange(fake_target, context.rng)
        old_source = context.pools["source"].exchange(fake_source, context.rng)
        return {
            "target_judge": judge_loss(networks["target_judge"], batch["target"], old_target),
            "source_judge": judge_loss(networks["source_judge"], batch["source"], old_source),
        }

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        made: Tensor = generator(batch["source"])
        return made

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        forth, back = networks["source_to_target"], networks["target_to_source"]
        fake_target, fake_source = forth(batch["source"]), back(batch["target"])
        return {
            "source": batch["source"],
            "as target": fake_target,
            "and back": back(fake_target),
            "target": batch["target"],
            "as source": fake_source,
        }


def judge_loss(judge: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Half of the least-squares loss of a discriminator (section 4: the objective is divided by 2)."""
    on_real, on_fake = judge(torch.cat([real, fake.to(real.dtype)])).chunk(2)
    return 0.5 * (least_squares(on_real, real=True) + least_squares(on_fake, real=False))
