"""SPGAN: a CycleGAN whose translations stay like their source and unlike anybody of the target.

Deng, Zheng, Kang, Yang, Ye, Jiao: "Image-Image Domain Adaptation with Preserved Self-Similarity and
Domain-Dissimilarity for Person Re-identification", CVPR 2018, section 3.2::

    L = L_GAN(G, D_T) + L_GAN(F, D_S) + l_1 L_cyc + l_2 L_map + l_3 L_con
    L_con(i, x1, x2) = (1 - i) max(0, m - d)^2 + i d^2,    d = |e(x1) - e(x2)|_2

with e a siamese network. Positive pairs (i = 1): an image and its translation. Negative pairs (i = 0): a translation
and an image of the domain that it was moved to. Generators, discriminators and the siamese network take turns.

The published code pairs two real images, one of each domain, in place of the negative pairs. They move the siamese
network but no generator. ``negative_pairs`` has both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.generators.losses import contrastive
from pipeline.generators.networks.blocks import frozen, initialize
from pipeline.generators.networks.siamese import SiaNet
from pipeline.generators.recipes.base import Batch, Size, StepContext, Terms
from pipeline.generators.recipes.cyclegan import CycleGAN, CycleGANSettings, Translations


class SPGANSettings(CycleGANSettings):
    contrastive_weight: float = Field(default=2.0, ge=0, description="l_3 (section 4.2)")
    margin: float = Field(default=2.0, gt=0, description="m (section 4.2); embeddings of length 1 are at most 2 apart")
    negative_pairs: Literal["translated", "real"] = Field(
        default="translated", description="translated (section 3.2), or real: as the published code, see above"
    )
    siamese_width: int = Field(default=64, ge=4, le=1024, description="channels of the siamese network's first layer")


class SPGAN(CycleGAN):
    name = "spgan"
    paper = "Deng et al., CVPR 2018"
    settings_model: ClassVar[type[CycleGANSettings]] = SPGANSettings
    settings: SPGANSettings
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {**CycleGAN.players, "siamese": ("siamese",)}

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        networks = super().build(generator, size)
        networks["siamese"] = initialize(SiaNet(size, self.settings.siamese_width), generator)
        return networks

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        yield from super().step(networks, batch, context)
        with torch.no_grad():
            fakes = networks["source_to_target"](batch["source"]), networks["target_to_source"](batch["target"])
        yield "siamese", {"contrastive_siamese": self._contrast(networks["siamese"], batch, *fakes)}

    def generator_terms(self, networks: nn.ModuleDict, batch: Batch, made: Translations) -> Terms:
        with frozen(networks["siamese"]):
            contrast = self._contrast(networks["siamese"], batch, made.fake_target, made.fake_source)
        return super().generator_terms(networks, batch, made) | {"contrastive": contrast}

    def _contrast(self, siamese: nn.Module, batch: Batch, fake_target: Tensor, fake_source: Tensor) -> Tensor:
        """l_3 times the mean over the pairs of each domain, as many alike as apart."""
        kinds = batch["source"], batch["target"], fake_target, fake_source
        source, target, to_target, to_source = siamese(torch.cat([kind.float() for kind in kinds])).chunk(4)
        alike = contrastive(source, to_target, True, self.settings.margin)
        alike = alike + contrastive(target, to_source, True, self.settings.margin)
        pairs = [(to_target, target), (to_source, source)]
        if self.settings.negative_pairs == "real":
            pairs = [(source, target)] * 2
        apart = torch.stack([contrastive(*pair, False, self.settings.margin) for pair in pairs]).sum()
        return self.settings.contrastive_weight * 0.5 * (alike + apart)
