"""CamStyle, two cameras at a time and all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.generators.batches.cameras import CameraBatches, camera_pairs, split_by_camera
from pipeline.generators.losses.adversarial import gradient_penalty
from pipeline.generators.networks.blocks import initialize
from pipeline.generators.recipes.base import StepContext
from pipeline.generators.recipes.camstyle import CamStyle, CamStyleSettings
from pipeline.generators.recipes.camstyle_multidomain import CamStyleMultidomain, CamStyleMultidomainSettings
from pipeline.generators.trained import load_generator, save_generator
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.training.data import DomainData

SMALL = {"ngf": 4, "blocks": 1, "ndf": 4}
CAMERAS = (2, 5, 15)


def people(count: int = 12, masks: bool = False) -> DomainData:
    """Noise whose brightness tells the camera; the right half of each is its person."""
    rng = np.random.Generator(np.random.Philox(0))
    cameras = np.array(CAMERAS, np.int64)[np.arange(count) % len(CAMERAS)]
    images = rng.integers(0, 60, (count, 36, 36, 3)) + (np.arange(count) % len(CAMERAS) * 90)[:, None, None, None]
    right = np.broadcast_to(np.arange(36) >= 18, (count, 36, 36))
    return DomainData(images.astype(np.uint8), masks=right if masks else None, cameras=cameras)


def recipe(**changed: Any) -> CamStyleMultidomain:
    return CamStyleMultidomain(CamStyleMultidomainSettings(**SMALL, **changed)).fitted({"source": people()})


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 3, 32, 32, generator=generator) * 2 - 1
    return {"source": images, "camera": torch.tensor([0, 1, 2]), "target_camera": torch.tensor([1, 2, 0])}


def context(step: int = 0) -> StepContext:
    return StepContext(step, np.random.Generator(np.random.Philox(0)))


def test_cameras_and_their_pairs() -> None:
    sets = split_by_camera(people())
    assert {camera: set(part.cameras.tolist()) for camera, part in sets.items() if part.cameras is not None} == {
        camera: {camera} for camera in CAMERAS
    }
    assert camera_pairs([15, 2, 5]) == [(2, 5), (2, 15), (5, 15)]
    assert len(camera_pairs(list(range(1, 9)))) == 28
    pair = CamStyle(CamStyleSettings(**SMALL)).fitted({"source": sets[5], "target": sets[15]})
    assert (pair.settings.source_camera, pair.settings.target_camera) == (5, 15)


def test_batches_ask_for_another_camera() -> None:
    batches = CameraBatches(people(), CAMERAS, 32, 32, seed=3)
    seen = [batches.batch(step, 4) for step in range(60)]
    own, asked = (np.concatenate([columns[name] for columns in seen]) for name in ("camera", "target_camera"))
    assert set(own.tolist()) == {0, 1, 2}
    assert (own != asked).all()
    counts = np.bincount(own * 3 + asked, minlength=9)
    assert (counts[[1, 2, 3, 5, 6, 7]] > 20).all(), "every pair is asked for"
    bright = np.concatenate([columns["source"] for columns in seen]).mean(axis=(1, 2, 3)) // 90
    assert (bright == own).all(), "the camera is the image's own"
    np.testing.assert_array_equal(batches.batch(7, 4)["source"], seen[7]["source"])


def test_each_player_moves_its_own_network() -> None:
    one = recipe(critic_steps=1)
    networks = one.build(torch.Generator().manual_seed(1), (32, 32))
    players = []
    for player, terms in one.step(networks, batch(), context()):
        networks.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        touched = {name for name, part in networks.items() if any(p.grad is not None for p in part.parameters())}
        assert touched == {player}
        players.append(player)
    assert players == ["critic", "generator"]


def test_the_generator_moves_in_every_fifth_step() -> None:
    one = recipe()
    networks = one.build(torch.Generator().manual_seed(1), (32, 32))
    moved = [[player for player, _ in one.step(networks, batch(), context(step))] for step in range(10)]
    assert [step for step, players in enumerate(moved) if "generator" in players] == [4, 9]


def test_both_networks_learn_at_stargans_rate(tmp_path: Path) -> None:
    one = recipe(critic_steps=1)
    settings = TrainingSettings(steps=4, batch_size=2, height=32, width=32, precision="float32")
    run = Training(one, one.batches({"source": people()}, (32, 32), 1), tmp_path, settings)
    used = {player: optimizer.param_groups[0]["lr"] for player, optimizer in run.optimizers.items()}
    assert used == {"critic": 1e-4, "generator": 1e-4}
    assert run.learning_rate() == 1e-4


@pytest.mark.parametrize("objective", ["wasserstein", "least_squares"])
def test_the_terms_are_stargans(objective: str) -> None:
    weights = {"class_weight": 0.7, "reconstruction_weight": 3.0, "penalty_weight": 5.0}
    one = recipe(critic_steps=1, objective=objective, **weights)
    networks, images = one.build(torch.Generator().manual_seed(1), (32, 32)), batch()
    generator, critic = networks["generator"], networks["critic"]
    terms = dict(one.step(networks, images, context()))
    made = generator(images["source"], images["target_camera"]).detach()
    (on_real, known), (on_fake, named) = critic(images["source"]), critic(made)
    back = generator(made, images["camera"])
    rows, asked = torch.arange(3), images["target_camera"]
    expected = {
        "critic": {"camera_known": -0.7 * known.log_softmax(dim=1)[rows, images["camera"]].mean()},
        "generator": {
            "camera_named": -0.7 * named.log_softmax(dim=1)[rows, asked].mean(),
            "reconstruction": 3 * (back - images["source"]).abs().mean(),
        },
    }
    if objective == "wasserstein":
        share = torch.from_numpy(context().rng.random((3, 1, 1, 1), dtype=np.float32))
        mixed = (share * images["source"] + (1 - share) * made).requires_grad_()
        (slope,) = torch.autograd.grad(critic(mixed)[0].sum(), mixed)
        penalty = 5 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        expected["critic"] |= {"critic": on_fake.mean() - on_real.mean(), "penalty": penalty}
        expected["generator"]["adversarial"] = -on_fake.mean()
    else:
        expected["critic"]["critic"] = 0.5 * ((on_real - 1).square().mean() + on_fake.square().mean())
        expected["generator"]["adversarial"] = (on_fake - 1).square().mean()
    for player, losses in expected.items():
        assert set(terms[player]) == set(losses)
        for name, value in losses.items():
            torch.testing.assert_close(terms[player][name], value)


def test_penalty_of_a_linear_critic() -> None:
    weight = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(2))
    real, fake = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    penalty = gradient_penalty(lambda images: (images * weight).sum(dim=(1, 2, 3)), real, fake, torch.rand(2, 1, 1, 1))
    torch.testing.assert_close(penalty, (weight.norm() - 1).square())


def test_the_camera_is_heard() -> None:
    one = recipe()
    network = one.build_generator((32, 32))
    initialize(network, torch.Generator().manual_seed(1), deviation=0.2)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.shape[0] == len(CAMERAS) and parameter.ndim == 2:
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4))
        images = batch()["source"]
        first, second = (one.generate(network, {"source": images, "camera": torch.full((3,), k)}) for k in (0, 1))
    assert (first - second).abs().mean() > 0.05


def test_rows_do_not_depend_on_their_batch(tmp_path: Path) -> None:
    one = recipe()
    network: nn.Module = initialize(one.build_generator((32, 32)), torch.Generator().manual_seed(3), deviation=0.3)
    save_generator(tmp_path / "generator.safetensors", network, one, 32, 32)
    generator = load_generator(tmp_path, batch_size=4)
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    cameras = np.arange(7) % 3
    together = generator.generate({"source": images, "camera": cameras})
    for cut in (1, 3):
        parts = [
            generator.generate({"source": images[start : start + cut], "camera": cameras[start : start + cut]})
            for start in range(0, 7, cut)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), together)


@pytest.mark.parametrize("objective", ["wasserstein", "least_squares"])
def test_taken_up_again_it_ends_the_same(tmp_path: Path, objective: str) -> None:
    def run(folder: str, stop: bool) -> dict[str, Tensor]:
        one = recipe(objective=objective, critic_steps=2)
        settings = TrainingSettings(steps=4, batch_size=2, height=32, width=32, precision="float32", checkpoint_every=2)
        if stop:
            run(folder, False)
            (tmp_path / folder / "checkpoints" / "step_000000004.pt").unlink()
        data = one.batches({"source": people()}, (32, 32), 1)
        training = Training(one, data, tmp_path / folder, settings)
        training.run()
        return {name: tensor.clone() for name, tensor in training.networks.state_dict().items()}

    unbroken, broken = run("a", False), run("b", True)
    assert all(torch.equal(broken[name], tensor) for name, tensor in unbroken.items())


def test_the_person_term_sees_the_mask_alone() -> None:
    keeping, images = recipe(identity_weight=10.0), batch()
    assert "masks" in keeping.needs
    assert "masks" not in recipe().needs, "one recipe's settings are not another's"
    networks = keeping.build(torch.Generator().manual_seed(1), (32, 32))
    terms = keeping.generator_terms(networks, images | {"mask": torch.zeros(3, 1, 32, 32)})
    assert terms["identity"].item() == pytest.approx(0, abs=1e-5), "nobody in the picture"
    full = keeping.generator_terms(networks, images | {"mask": torch.ones(3, 1, 32, 32)})
    made = networks["generator"](images["source"], images["target_camera"])
    change = (made - images["source"]).square().mean(dim=(1, 2, 3)).sqrt().mean()
    # The term sums an image's channels' mean over its mask, and is 10 times that root.
    assert full["identity"].item() == pytest.approx(10 * change.item(), rel=1e-2)


def test_masks_move_with_their_images() -> None:
    batches = recipe(identity_weight=1.0).batches({"source": people(masks=True)}, (32, 32), seed=3)
    masks = np.concatenate([batches.batch(step, 4)["mask"] for step in range(8)])
    assert masks.shape == (32, 32, 32)
    right = masks[:, 0, -1]
    assert 0 < right.sum() < len(right), "mirrored in about every second crop"
    assert (masks[:, 0, 0] != right).all()
    assert "mask" not in recipe().batches({"source": people(masks=True)}, (32, 32), seed=3).batch(0, 2)


def test_own_cameras_mapping_term() -> None:
    images = batch()
    mapping = recipe(mapping_weight=5.0)
    networks = mapping.build(torch.Generator().manual_seed(1), (32, 32))
    same = networks["generator"](images["source"], images["camera"])
    expected = 5 * (same - images["source"]).abs().mean()
    assert mapping.generator_terms(networks, images)["mapping"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert set(recipe().generator_terms(networks, images)) == {"adversarial", "camera_named", "reconstruction"}


def test_with_the_skip_an_idle_generator_leaves_the_image() -> None:
    network = recipe(skip=True).build_generator((32, 32))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        images = batch()["source"]
        made = network(images, torch.tensor([2, 0, 1]))
    torch.testing.assert_close(made, 0.99 * images, atol=1e-5, rtol=0)


def test_a_set_without_cameras_is_refused() -> None:
    with pytest.raises(UserError, match="needs the camera of each image, and two cameras or more"):
        CamStyleMultidomain().fitted({"source": DomainData(people().images)})
