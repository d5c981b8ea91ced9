"""SPGAN: its pairs, their weights and their warm-up; the siamese network at the sizes of people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.generators.losses.likeness import contrastive
from pipeline.generators.networks.blocks import HistoryPool
from pipeline.generators.networks.siamese import SiaNet
from pipeline.generators.recipes.base import StepContext
from pipeline.generators.recipes.cyclegan import CycleGAN, CycleGANSettings
from pipeline.generators.recipes.spgan import SPGAN, SPGANSettings
from tests.pipeline.generators.training.test_loop import state, training

SMALL = {"ngf": 4, "blocks": 1, "ndf": 4}


def spgan(**changed: Any) -> SPGAN:
    return SPGAN(SPGANSettings.model_validate({**SMALL, "siamese_width": 4, **changed}))


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1 for name in ("source", "target")}


def networks_of(recipe: CycleGAN) -> nn.ModuleDict:
    return recipe.build(torch.Generator().manual_seed(1), (32, 32))


def context(step: int = 20, steps: int = 40) -> StepContext:
    pools = {name: HistoryPool() for name in CycleGAN.pool_names}
    return StepContext(step, np.random.Generator(np.random.Philox(0)), pools, step / steps)


def sums(networks: nn.ModuleDict, margin: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    """P, N and R of the batch, pair by pair."""
    embed, (source, target) = networks["siamese"], batch().values()
    to_target, to_source = networks["source_to_target"](source), networks["target_to_source"](target)

    def apart(first: Tensor, second: Tensor) -> Tensor:
        return (embed(first) - embed(second)).norm(dim=1)

    positive = (apart(source, to_target) ** 2 + apart(target, to_source) ** 2).mean()
    pairs = (to_target, target), (to_source, source), (source, target)
    first, second, real = ((margin - apart(*pair)).clamp_min(0).square().mean() for pair in pairs)
    return positive, first + second, real


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


def test_it_is_a_cyclegan_plus_the_releases_terms() -> None:
    plain, recipe = CycleGAN(CycleGANSettings(**SMALL)), spgan()
    networks = networks_of(recipe)
    base, terms = (dict(one.step(networks, batch(), context())) for one in (plain, recipe))
    assert set(terms) - set(base) == {"siamese"}
    assert set(terms["generators"]) - set(base["generators"]) == {"contrastive"}
    for player in base:
        for name, value in base[player].items():
            torch.testing.assert_close(terms[player][name], value)
    positive, negative, real = sums(networks)
    torch.testing.assert_close(terms["generators"]["contrastive"], 2 * (positive + 0.5 * negative) / 4)
    torch.testing.assert_close(terms["siamese"]["contrastive_siamese"], (positive + 2 * real) / 3)


@pytest.mark.parametrize(("pairs", "translated", "real"), [("translated", 0.5, 0), ("real", 0, 1)])
def test_the_papers_pairs_and_those_of_the_first_release(pairs: str, translated: float, real: float) -> None:
    recipe = spgan(negative_pairs=pairs, contrastive_weight=0.3, margin=1.5)
    networks = networks_of(recipe)
    terms = dict(recipe.step(networks, batch(), context()))
    positive, negative, apart = sums(networks, 1.5)
    expected = 0.5 * positive + translated * negative + real * apart
    torch.testing.assert_close(terms["generators"]["contrastive"], 0.3 * expected)
    torch.testing.assert_close(terms["siamese"]["contrastive_siamese"], expected)


def test_warm_up_and_every_second_step() -> None:
    recipe = spgan()
    networks = networks_of(recipe)
    moved = [dict(recipe.step(networks, batch(), context(step, 40))) for step in range(8)]
    having = {player: [step for step, terms in enumerate(moved) if player in terms] for player in recipe.players}
    assert having == {
        "generators": [0, 2, 4, 6],
        "discriminators": list(range(8)),
        "siamese": [2, 3, 4, 5, 6, 7],
    }
    assert [step for step in having["generators"] if "contrastive" in moved[step]["generators"]] == [4, 6]


def test_as_the_paper_has_it_all_move_from_the_start() -> None:
    recipe = spgan(negative_pairs="translated", siamese_from=0, contrastive_from=0, generator_steps=1)
    for step in (0, 1):
        terms = dict(recipe.step(networks_of(recipe), batch(), context(step)))
        assert set(terms) == set(recipe.players)
        assert "contrastive" in terms["generators"]


@pytest.mark.parametrize("step", [20, 21])
def test_each_player_moves_its_own_networks(step: int) -> None:
    recipe = spgan()
    networks = networks_of(recipe)
    for player, terms in recipe.step(networks, batch(), context(step)):
        networks.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        touched = {name for name, one in networks.items() if any(p.grad is not None for p in one.parameters())}
        assert touched == set(recipe.players[player])


def test_negative_pairs_move_the_generators_where_a_translation_is_in_them() -> None:
    for pairs, moves in (("released", True), ("translated", True), ("real", False)):
        recipe = spgan(negative_pairs=pairs)
        siamese, images = networks_of(recipe)["siamese"], batch()
        # Translations that change nothing: positive pairs are at their minimum, what is left comes from negative ones.
        fakes = [images[name].clone().requires_grad_(True) for name in ("source", "target")]
        recipe.contrast("generators", siamese, images, *fakes).backward()
        gradients = [fake.grad.abs().max().item() for fake in fakes if fake.grad is not None]
        assert [gradient > 1e-6 for gradient in gradients] == [moves, moves]


def test_stopped_in_the_warm_up_and_taken_up_again_it_ends_the_same(tmp_path: Path) -> None:
    recipe = spgan(siamese_from=0.3, contrastive_from=0.6)
    unbroken = training(tmp_path, recipe, checkpoint_every=3)
    unbroken.run()
    expected = state(unbroken)
    (tmp_path / "checkpoints" / "step_000000006.pt").unlink()
    resumed = training(tmp_path, recipe)
    resumed.run()
    found = state(resumed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert unbroken.losses.keys() >= {"contrastive", "contrastive_siamese"}
