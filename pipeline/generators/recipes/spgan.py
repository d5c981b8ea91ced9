"""SPGAN: a CycleGAN whose translations stay like their source and unlike anybody of the target.

Deng, Zheng, Kang, Yang, Ye, Jiao: "Image-Image Domain Adaptation with Preserved Self-Similarity and
Domain-Dissimilarity for Person Re-identification", CVPR 2018, section 3.2::

    L = L_GAN(G, D_T) + L_GAN(F, D_S) + l_1 L_cyc + l_2 L_map + l_3 L_con
    L_con(i, x1, x2) = (1 - i) max(0, m - d)^2 + i d^2,    d = |e(x1) - e(x2)|_2

with e a siamese network. Positive pairs (i = 1): an image and its translation, (s, G(s)) and (t, F(t)). Negative pairs
(i = 0): a translation and an image of the domain that it was moved to, (G(s), t) and (F(t), s). Generators,
discriminators and the siamese network take turns.

What runs by default is the authors' PyTorch release (github.com/Simon4Yan/eSPGAN, ``train_spgan.py``), which is milder
than the formula. P, N and R are the sums of L_con over the positive, the negative, and one real pair (s, t)::

    generators: l_3 (P + N / 2) / 4        siamese network: (P + 2 R) / 3

The siamese network begins in the second epoch, the term of the generators in the third, out of 20; the generators move
in every second step. A training here is counted in steps, so these are shares of them: from 1/20 and from 2/20. That
way a training shorter than an epoch has its warm-up too. (The paper trains for 5 epochs, the TensorFlow release for 6,
with no warm-up.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.generators.losses.likeness import contrastive
from pipeline.generators.networks.blocks import frozen, initialize
from pipeline.generators.networks.siamese import SiaNet
from pipeline.generators.recipes.base import Batch, Size, StepContext, Terms
from pipeline.generators.recipes.cyclegan import CycleGAN, CycleGANSettings

NegativePairs = Literal["released", "translated", "real"]


class PairWeights(NamedTuple):
    """What each kind of pairs counts for a player: P, N and R of the module's head."""

    positive: float
    translated: float
    real: float


_PAPER = PairWeights(1 / 2, 1 / 2, 0)
_TENSORFLOW = PairWeights(1 / 2, 0, 1)
_WEIGHTS: dict[NegativePairs, dict[str, PairWeights]] = {
    "released": {"generators": PairWeights(1 / 4, 1 / 8, 0), "siamese": PairWeights(1 / 3, 0, 2 / 3)},
    "translated": {"generators": _PAPER, "siamese": _PAPER},
    "real": {"generators": _TENSORFLOW, "siamese": _TENSORFLOW},
}


class SPGANSettings(CycleGANSettings):
    contrastive_weight: float = Field(default=2.0, ge=0, description="l_3 (section 4.2)")
    margin: float = Field(default=2.0, gt=0, description="m (section 4.2); embeddings of length 1 are at most 2 apart")
    negative_pairs: NegativePairs = Field(
        default="released",
        description="released: of translations for the generators, of real images for the siamese network, weighted "
        "as the authors' PyTorch release has it; translated: the formula (section 3.2), (P + N) / 2; real: real images "
        "for both, P / 2 + R",
    )
    siamese_from: float = Field(
        default=0.05, ge=0, le=1, description="share of the steps before the siamese network learns (1 of 20 epochs)"
    )
    contrastive_from: float = Field(
        default=0.1, ge=0, le=1, description="share of the steps before the generators heed it (2 of 20 epochs)"
    )
    generator_steps: int = Field(
        default=2, ge=1, description="steps for each update of the generators (the authors' release: 2)"
    )
    siamese_width: int = Field(default=64, ge=4, le=1024, description="channels of the siamese network's first layer")


class SPGAN(CycleGAN):
    name = "spgan"
    paper = "Deng et al., CVPR 2018"
    settings_model: ClassVar[type[CycleGANSettings]] = SPGANSettings
    settings: SPGANSettings
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {**CycleGAN.players, "siamese": ("siamese",)}
    before: ClassVar[Mapping[str, Any]] = {
        **CycleGAN.before,
        "siamese_from": 0.0,
        "contrastive_from": 0.0,
        "generator_steps": 1,
    }

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        networks = super().build(generator, size)
        networks["siamese"] = initialize(SiaNet(size, self.settings.siamese_width), generator)
        return networks

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        settings = self.settings
        if context.step % settings.generator_steps == 0:
            made = self.translate(networks, batch)
            fakes = made.fake_target, made.fake_source
            with frozen(networks["source_judge"], networks["target_judge"], networks["siamese"]):
                terms = self.generator_terms(networks, batch, made)
                if context.progress >= settings.contrastive_from:
                    contrast = self.contrast("generators", networks["siamese"], batch, *fakes)
                    terms["contrastive"] = settings.contrastive_weight * contrast
            yield "generators", terms
        else:
            with torch.no_grad():
                fakes = networks["source_to_target"](batch["source"]), networks["target_to_source"](batch["target"])
        fake_target, fake_source = (fake.detach() for fake in fakes)
        if context.progress >= settings.siamese_from:
            contrast = self.contrast("siamese", networks["siamese"], batch, fake_target, fake_source)
            yield "siamese", {"contrastive_siamese": contrast}
        yield "discriminators", self.judge_terms(networks, batch, fake_target, fake_source, context)

    def contrast(
        self, player: str, siamese: nn.Module, batch: Batch, fake_target: Tensor, fake_source: Tensor
    ) -> Tensor:
        """What the pairs of each domain cost the generators or the siamese network, by their weights."""
        kinds = batch["source"], batch["target"], fake_target, fake_source
        source, target, to_target, to_source = siamese(torch.cat([kind.float() for kind in kinds])).chunk(4)
        margin, weights = self.settings.margin, _WEIGHTS[self.settings.negative_pairs][player]
        positive = contrastive(source, to_target, True, margin) + contrastive(target, to_source, True, margin)
        translated = contrastive(to_target, target, False, margin) + contrastive(to_source, source, False, margin)
        real = contrastive(source, target, False, margin)
        return weights.positive * positive + weights.translated * translated + weights.real * real
