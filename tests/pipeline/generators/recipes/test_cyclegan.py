"""CycleGAN and PTGAN: what their steps optimise, who is moved by what, purity of generation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from manifests.errors import UserError
from manifests.format.schema import LABEL_RULES
from pipeline.generators.networks.blocks import HistoryPool
from pipeline.generators.recipes import RECIPES, find_recipe
from pipeline.generators.recipes.base import Recipe, StepContext, Terms
from pipeline.generators.recipes.cyclegan import CycleGAN, CycleGANSettings, judge_loss
from pipeline.generators.recipes.ptgan import PTGAN, PTGANSettings


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, 8:24, 8:24] = 1
    images = {name: torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1 for name in ("source", "target")}
    return {**images, "source_mask": mask, "target_mask": mask}


def networks_of(recipe: Recipe) -> nn.ModuleDict:
    return recipe.build(torch.Generator().manual_seed(1), (32, 32))


def context(recipe: Recipe) -> StepContext:
    pools = {name: HistoryPool() for name in recipe.pool_names}
    return StepContext(0, np.random.Generator(np.random.Philox(0)), pools)


def moves(recipe: Recipe, networks: nn.ModuleDict) -> dict[str, Terms]:
    return dict(recipe.step(networks, batch(), context(recipe)))


SMALL = {"ngf": 4, "blocks": 1, "ndf": 4}


def test_each_players_loss_reaches_its_networks_only() -> None:
    for model in (CycleGAN, PTGAN):
        recipe = model(model.settings_model.model_validate(SMALL))
        networks = networks_of(recipe)
        for player, terms in recipe.step(networks, batch(), context(recipe)):
            networks.zero_grad(set_to_none=True)
            torch.stack(list(terms.values())).sum().backward()
            moved = {
                name
                for name, network in networks.items()
                if all(parameter.grad is not None for parameter in network.parameters())
            }
            touched = {
                name
                for name, network in networks.items()
                if any(parameter.grad is not None for parameter in network.parameters())
            }
            assert moved == touched == set(recipe.players[player])


def test_cyclegan_terms_are_the_papers() -> None:
    recipe = CycleGAN(CycleGANSettings(**SMALL))
    networks, images = networks_of(recipe), batch()
    forth, back = networks["source_to_target"], networks["target_to_source"]
    terms = moves(recipe, networks)["generators"]
    cycle = (back(forth(images["source"])) - images["source"]).abs().mean()
    cycle = cycle + (forth(back(images["target"])) - images["target"]).abs().mean()
    mapping = (forth(images["target"]) - images["target"]).abs().mean()
    mapping = mapping + (back(images["source"]) - images["source"]).abs().mean()
    fooled = (networks["target_judge"](forth(images["source"])) - 1).square().mean()
    torch.testing.assert_close(terms["cycle"], 10 * cycle)
    torch.testing.assert_close(terms["mapping"], 5 * mapping)
    torch.testing.assert_close(terms["adversarial_target"], fooled)


def test_discriminator_loss_is_halved() -> None:
    judge = nn.Identity()
    real, fake = torch.full((1, 1, 2, 2), 0.8), torch.full((1, 1, 2, 2), 0.1)
    assert judge_loss(judge, real, fake).item() == pytest.approx(0.5 * (0.2**2 + 0.1**2))


def test_ptgan_is_a_plain_cyclegan_plus_its_term() -> None:
    plain = CycleGAN(CycleGANSettings(**SMALL, mapping_weight=0))
    with_term = PTGAN(PTGANSettings(**SMALL))
    networks, images = networks_of(plain), batch()
    base, terms = moves(plain, networks)["generators"], moves(with_term, networks)["generators"]
    assert set(terms) - set(base) == {"identity"}
    for name, value in base.items():
        torch.testing.assert_close(terms[name], value)
    inside = images["source_mask"].bool().expand_as(images["source"])
    expected = torch.zeros(())
    for name, to in (("source", "source_to_target"), ("target", "target_to_source")):
        change = networks[to](images[name]) - images[name]
        each = [row[kept].square().mean().sqrt() for row, kept in zip(change, inside, strict=True)]
        expected = expected + torch.stack(each).mean()
    torch.testing.assert_close(terms["identity"], 10 * expected, atol=5e-3, rtol=0)


def test_published_average_counts_all_pixels() -> None:
    networks = networks_of(PTGAN(PTGANSettings(**SMALL)))
    by_area, by_image = (
        moves(PTGAN(PTGANSettings(**SMALL, identity_average=average, identity_form="squared")), networks)
        for average in ("area", "image")
    )
    first, second = (made["generators"]["identity"] for made in (by_image, by_area))
    torch.testing.assert_close(first, second * (16 * 16) / (32 * 32))


def test_table_of_recipes() -> None:
    assert find_recipe("ptgan") is PTGAN
    with pytest.raises(UserError, match=r"unknown recipe 'gan'; known: .*cyclegan.*ptgan"):
        find_recipe("gan")
    assert all(recipe.label_rule in LABEL_RULES for recipe in RECIPES.values())
    assert ["masks" in model.needs for model in (CycleGAN, PTGAN)] == [False, True]
