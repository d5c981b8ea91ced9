"""SPGAN: its pairs and its term; the siamese network at the sizes of people."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.generators.losses import contrastive
from pipeline.generators.networks.blocks import HistoryPool
from pipeline.generators.networks.siamese import SiaNet
from pipeline.generators.recipes.base import StepContext
from pipeline.generators.recipes.cyclegan import CycleGAN, CycleGANSettings
from pipeline.generators.recipes.spgan import SPGAN, SPGANSettings

SMALL = {"ngf": 4, "blocks": 1, "ndf": 4}
SPGAN_SMALL = SPGANSettings(**SMALL, siamese_width=4)


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1 for name in ("source", "target")}


def networks_of(recipe: CycleGAN) -> nn.ModuleDict:
    return recipe.build(torch.Generator().manual_seed(1), (32, 32))


def context() -> StepContext:
    pools = {name: HistoryPool() for name in CycleGAN.pool_names}
    return StepContext(0, np.random.Generator(np.random.Philox(0)), pools)


def test_pairs_by_hand() -> None:
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert contrastive(first, second, True, 2.0).item() == pytest.approx(2.0), "d^2"
    assert contrastive(first, second, False, 2.0).item() == pytest.approx((2 - 2**0.5) ** 2), "(m - d)^2"
    assert contrastive(first, second, False, 1.0).item() == 0, "further apart than the margin"
    same = first.clone().requires_grad_(True)
    contrastive(same, first, False, 2.0).backward()
    assert same.grad is not None
    assert torch.isfinite(same.grad).all(), "two equal embeddings"
    assert contrastive(first, first, False, 2.0).item() == pytest.approx(4.0, rel=1e-5), "m^2"


@pytest.mark.parametrize("size", [(256, 256), (256, 128), (128, 64), (64, 32), (32, 16)])
def test_embeddings_lie_on_a_sphere_at_any_size(size: tuple[int, int]) -> None:
    network = SiaNet(size, width=4)
    embedded = network(torch.rand(2, 3, *size))
    assert embedded.shape == (2, 128)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(2))


def test_it_is_a_cyclegan_plus_its_term_and_a_player() -> None:
    plain, recipe = CycleGAN(CycleGANSettings(**SMALL)), SPGAN(SPGAN_SMALL)
    networks, images = networks_of(recipe), batch()
    base, terms = (dict(one.step(networks, images, context())) for one in (plain, recipe))
    assert set(terms) - set(base) == {"siamese"}
    assert set(terms["generators"]) - set(base["generators"]) == {"contrastive"}
    for name, value in base["generators"].items():
        torch.testing.assert_close(terms["generators"][name], value)
    embed = networks["siamese"]
    source, target = images["source"], images["target"]
    to_target, to_source = networks["source_to_target"](source), networks["target_to_source"](target)
    expected = torch.zeros(())
    for one, other, alike in (
        (source, to_target, True),
        (target, to_source, True),
        (to_target, target, False),
        (to_source, source, False),
    ):
        distance = (embed(one) - embed(other)).norm(dim=1)
        expected = expected + (distance**2 if alike else (2 - distance).clamp_min(0) ** 2).mean() / 2
    torch.testing.assert_close(terms["generators"]["contrastive"], 2 * expected)
    torch.testing.assert_close(terms["siamese"]["contrastive_siamese"], 2 * expected)


def test_each_player_moves_its_own_networks() -> None:
    recipe = SPGAN(SPGAN_SMALL)
    networks = networks_of(recipe)
    for player, terms in recipe.step(networks, batch(), context()):
        networks.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        touched = {name for name, one in networks.items() if any(p.grad is not None for p in one.parameters())}
        assert touched == set(recipe.players[player])


def test_a_pair_that_should_differ_moves_the_generator() -> None:
    recipe = SPGAN(SPGAN_SMALL)
    networks, images = networks_of(recipe), batch()
    embed, forth = networks["siamese"], networks["source_to_target"]
    contrastive(embed(forth(images["source"])), embed(images["target"]), False, 2.0).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in list(forth.parameters())[:1])


def test_real_negative_pairs_move_the_siamese_network_alone() -> None:
    images = batch()
    published = SPGAN(SPGAN_SMALL.model_copy(update={"negative_pairs": "real", "margin": 2.0}))
    networks = networks_of(published)
    siamese = networks["siamese"]
    contrast = published._contrast(siamese, images, images["source"], images["target"])
    source, target = siamese(images["source"]), siamese(images["target"])
    # Translations that change nothing: the positive pairs cost nothing, the negative ones are the two real images.
    apart = contrastive(source, target, False, 2.0)
    assert contrast.item() == pytest.approx((2.0 * 0.5 * 2 * apart).item(), rel=1e-5)
    fakes = [images[name].clone().requires_grad_(True) for name in ("source", "target")]
    published._contrast(siamese, images, *fakes).backward()
    assert all(fake.grad is not None and fake.grad.abs().max() < 1e-6 for fake in fakes), "at the minimum of their pair"
