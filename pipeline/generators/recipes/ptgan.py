"""PTGAN: a CycleGAN that leaves the person as they are.

Wei, Zhang, Gao, Tian: "Person Transfer GAN to Bridge Domain Gap for Person Re-Identification", CVPR 2018::

    L = L_GAN(G, D_B) + L_GAN(F, D_A) + l_2 L_cyc + l_1 L_ID
    L_ID = E |(G(a) - a) * M(a)|_2 + E |(F(b) - b) * M(b)|_2

M is the person's mask (PSPNet in the paper, Segment Anything here). Everything but L_ID is the CycleGAN's; its
identity-mapping term is not part of the paper's objective and is off by default.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from pipeline.generators.losses.likeness import MaskAverage, MaskForm, identity_mask
from pipeline.generators.recipes.base import Batch, Need, Terms
from pipeline.generators.recipes.cyclegan import CycleGAN, CycleGANSettings, Translations


class PTGANSettings(CycleGANSettings):
    identity_weight: float = Field(
        default=10.0, ge=0, description="l_1 of the person term (section on PTGAN; l_1 = l_2 = 10)"
    )
    identity_average: MaskAverage = Field(
        default="area", description="area: the term does not depend on the person's size; image: as the published code"
    )
    identity_form: MaskForm = Field(
        default="root", description="root: the norm, as in the formula; squared: as the published code"
    )
    mapping_weight: float = Field(
        default=0.0, ge=0, description="CycleGAN's identity mapping; not part of the objective"
    )


class PTGAN(CycleGAN):
    name = "ptgan"
    paper = "Wei et al., CVPR 2018"
    settings_model: ClassVar[type[CycleGANSettings]] = PTGANSettings
    settings: PTGANSettings
    needs: frozenset[Need] = frozenset({"masks"})

    def generator_terms(self, networks: nn.ModuleDict, batch: Batch, made: Translations) -> Terms:
        how = self.settings.identity_average, self.settings.identity_form
        change = identity_mask(made.fake_target, batch["source"], batch["source_mask"], *how)
        change = change + identity_mask(made.fake_source, batch["target"], batch["target_mask"], *how)
        terms = super().generator_terms(networks, batch, made)
        return terms | {"identity": self.settings.identity_weight * change}

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        return super().preview(networks, batch) | {"mask": batch["source_mask"]}
