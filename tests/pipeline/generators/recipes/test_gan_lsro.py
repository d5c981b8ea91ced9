"""The DCGAN: what its step optimises, who is moved by what, its sizes, its noise, purity of generation."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.checkpoints.state import load_state
from pipeline.common.tensors import to_batch
from pipeline.generators.batches.crops import TrainingCrops
from pipeline.generators.losses.augmentation import augment, recolour, translate
from pipeline.generators.networks.blocks import Upsampling
from pipeline.generators.networks.dcgan import DCGANDiscriminator, DCGANGenerator, evaluating, start_map
from pipeline.generators.recipes.base import Recipe, StepContext
from pipeline.generators.recipes.gan_lsro import GanLsro, GanLsroSettings, adversarial, draw_noise
from pipeline.generators.trained import load_generator, save_generator
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.training.data import DomainData
from pipeline.training.randomness import random_generator

SMALL: dict[str, Any] = {"ngf": 4, "ndf": 4, "noise_size": 6}
SIZE = 32, 16


def people(count: int = 10) -> DomainData:
    """Noise of a colour that says the camera: 3 red, 5 blue."""
    rng = random_generator(0)
    images = rng.integers(0, 90, (count, 36, 18, 3), dtype=np.uint8)
    cameras = np.where(np.arange(count) % 2, 5, 3).astype(np.int64)
    images[cameras == 3, ..., 0] += 150
    images[cameras == 5, ..., 2] += 150
    return DomainData(images, cameras=cameras)


def assert_players_move_their_own(recipe: Recipe, batch: Mapping[str, Tensor]) -> None:
    """Each player's loss reaches all parameters of its networks, and no other."""
    networks = recipe.build(torch.Generator().manual_seed(1), SIZE)
    players = []
    for player, terms in recipe.step(networks, batch, StepContext(0, random_generator(0))):
        networks.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        players.append(player)
        for name, network in networks.items():
            reached = {parameter.grad is not None for parameter in network.parameters()}
            assert reached == {name in recipe.players[player]}, (player, name)
    assert players == ["discriminator", "generator"]


def trained_state(recipe: Recipe, data: TrainingCrops, output: Path, **changed: Any) -> dict[str, Tensor]:
    """Everything that a short training leaves: weights, running statistics, averages."""
    settings = {"steps": 6, "batch_size": 4, "height": SIZE[0], "width": SIZE[1], "precision": "float32"}
    often = {"checkpoint_every": 100, "average_decay": 0.9, "sample_every": 2, "sample_count": 2}
    run = Training(recipe, data, output, TrainingSettings.model_validate({**settings, **often, **changed}))
    run.run()
    assert run.averages is not None
    state = {**run.networks.state_dict(), **{f"average {k}": v for k, v in run.averages.state_dict().items()}}
    return {name: tensor.clone() for name, tensor in state.items()}


class StopsAt(TrainingCrops):
    """Sends this process SIGTERM when the batch of one step is asked for."""

    stop = 2

    def batch(self, step: int, size: int) -> dict[str, NDArray[Any]]:
        if step == self.stop:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().batch(step, size)


def test_each_players_loss_reaches_its_networks_only() -> None:
    batch = to_batch(TrainingCrops(people(), *SIZE, 0).batch(0, 4))
    for augmentation in ("none", "translation_colour"):
        recipe = GanLsro(GanLsroSettings.model_validate({**SMALL, "augmentation": augmentation}))
        assert_players_move_their_own(recipe, batch)


@pytest.mark.parametrize(
    ("size", "start", "channels"),
    [
        ((64, 32), (8, 4, 3), [32, 16, 8]),
        ((128, 64), (8, 4, 4), [64, 32, 16, 8]),
        ((256, 128), (8, 4, 5), [64, 64, 32, 16, 8]),
        ((96, 48), (12, 6, 3), [32, 16, 8]),
    ],
)
def test_sizes(size: tuple[int, int], start: tuple[int, int, int], channels: list[int]) -> None:
    assert start_map(*size) == start
    for upsampling in get_args(Upsampling):
        generator = DCGANGenerator(size, 8, 5, upsampling)
        norms = [module.num_features for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
        assert norms == channels
        images = generator(torch.zeros(2, 5))
        assert images.shape == (2, 3, *size)
    judge = DCGANDiscriminator(size, 8)
    norms = [module.num_features for module in judge.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms == channels[::-1][1:], "none in the first layer"
    assert judge(images).scores.shape == (2,)


def test_default_starts_from_512_channels_of_8_by_4() -> None:
    assert GanLsro().build_generator((128, 64)).layers[0].out_features == 512 * 8 * 4  # type: ignore[index, union-attr]


@pytest.mark.parametrize("size", [(100, 50), (128, 60), (8, 4)])
def test_impossible_sizes_are_one_line(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=rf"cannot make {size[0]} x {size[1]} images: .*divisible by"):
        GanLsro().build_generator(size)


def test_objectives_by_hand() -> None:
    scores = torch.tensor([0.0, 2.0, -1.0])
    chance = [1 / (1 + math.exp(-score)) for score in (0.0, 2.0, -1.0)]
    real = -sum(math.log(p) for p in chance) / 3
    fake = -sum(math.log(1 - p) for p in chance) / 3
    assert adversarial(scores, True, "cross_entropy").item() == pytest.approx(real, rel=1e-6)
    assert adversarial(scores, False, "cross_entropy").item() == pytest.approx(fake, rel=1e-6)
    assert adversarial(scores, True, "least_squares").item() == pytest.approx((1 + 1 + 4) / 3)
    assert adversarial(scores, False, "least_squares").item() == pytest.approx((0 + 4 + 1) / 3)


def test_terms_are_those_of_real_and_fake_judged_apart() -> None:
    recipe = GanLsro(GanLsroSettings(**SMALL))
    networks = recipe.build(torch.Generator().manual_seed(1), SIZE)
    batch = to_batch(TrainingCrops(people(), *SIZE, 0).batch(0, 4))
    made = dict(recipe.step(networks, batch, StepContext(0, random_generator(7))))
    noise = torch.from_numpy(draw_noise(recipe.settings, 4, random_generator(7)))
    fake = networks["generator"](noise)
    scores = {name: networks["discriminator"](images).scores for name, images in (("x", batch["image"]), ("g", fake))}
    torch.testing.assert_close(made["discriminator"]["real"], -scores["x"].sigmoid().log().mean())
    torch.testing.assert_close(made["discriminator"]["fake"], -(1 - scores["g"].sigmoid()).log().mean())
    torch.testing.assert_close(made["generator"]["adversarial"], -scores["g"].sigmoid().log().mean())


def test_noise_follows_its_generator() -> None:
    normal, uniform = GanLsroSettings(), GanLsroSettings(noise="uniform")
    first, again, other = (draw_noise(normal, 50, random_generator(seed)) for seed in (1, 1, 2))
    assert first.shape == (50, 100)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.1
    assert first.std() == pytest.approx(1, abs=0.05)
    flat = draw_noise(uniform, 50, random_generator(1))
    assert flat.std() == pytest.approx(1 / math.sqrt(3), abs=0.02)
    assert -1 <= flat.min() < -0.99 < 0.99 < flat.max() <= 1


def test_a_row_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    recipe = GanLsro(GanLsroSettings(**SMALL))
    network = recipe.build(torch.Generator().manual_seed(1), SIZE)["generator"]
    for _ in range(20):  # running statistics that are those of no batch below
        network(torch.randn(8, 6, generator=torch.Generator().manual_seed(3)))
    network.layers[2].num_batches_tracked.fill_(100_000)  # more than a half-precision number can be
    save_generator(tmp_path / "generator.safetensors", network, recipe, *SIZE)
    assert load_state(tmp_path / "generator.safetensors")["layers.2.num_batches_tracked"] == 100_000
    generator = load_generator(tmp_path, precision="float32", batch_size=4)
    assert generator.inputs == ("noise",)
    noise = draw_noise(recipe.settings, 11, random_generator(4))
    together = generator.generate({"noise": noise})
    alone = np.concatenate([generator.generate({"noise": noise[row : row + 1]}) for row in range(11)])
    np.testing.assert_array_equal(together, alone)
    assert together.shape == (11, *SIZE, 3)
    assert together.std(axis=0).mean() > 0, "noise makes a difference"
    assert generator.generate({"noise": noise[:0]}).shape == (0, *SIZE, 3)


def test_stopped_and_taken_up_again_is_as_unbroken(tmp_path: Path) -> None:
    recipe = GanLsro(GanLsroSettings.model_validate({**SMALL, "augmentation": "translation_colour"}))
    unbroken = trained_state(recipe, TrainingCrops(people(), *SIZE, 1), tmp_path / "unbroken")
    with pytest.raises(KeyboardInterrupt):
        trained_state(recipe, StopsAt(people(), *SIZE, 1), tmp_path / "stopped")
    resumed = trained_state(recipe, TrainingCrops(people(), *SIZE, 1), tmp_path / "stopped")
    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)


def test_pictures_on_the_way_change_nothing(tmp_path: Path) -> None:
    recipe, data = GanLsro(GanLsroSettings(**SMALL)), TrainingCrops(people(), *SIZE, 1)
    seldom = trained_state(recipe, data, tmp_path / "seldom", sample_every=100)
    often = trained_state(recipe, data, tmp_path / "often", sample_every=1)
    assert all(torch.equal(seldom[name], often[name]) for name in seldom)


def test_averaged_generators_have_averaged_statistics(tmp_path: Path) -> None:
    state = trained_state(GanLsro(GanLsroSettings(**SMALL)), TrainingCrops(people(), *SIZE, 1), tmp_path)
    name = "generator.layers.2.running_var"
    first = torch.ones_like(state[name])
    assert not torch.equal(state[f"average {name}"], first)
    assert not torch.equal(state[f"average {name}"], state[name])
    assert ((state[f"average {name}"] - state[name]).abs() < (first - state[name]).abs()).all(), "between both"


def test_evaluating_is_undone() -> None:
    network = DCGANGenerator((16, 8), 4, 3)
    with evaluating(network):
        assert not network.training
        with evaluating(network):
            pass
        assert not network.training
    assert network.training


def test_previews_are_always_the_same() -> None:
    recipe, data = GanLsro(GanLsroSettings(**SMALL)), TrainingCrops(people(), *SIZE, 1)
    networks = recipe.build(torch.Generator().manual_seed(1), SIZE)
    first, again = (recipe.preview(networks, to_batch(data.preview(3))) for _ in range(2))
    assert list(first) == ["real", "made 1", "made 2", "made 3", "made 4"]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["made 1"], first["made 2"])


def test_translation_and_colour_by_hand() -> None:
    images = torch.zeros(1, 3, 8, 8)
    images[0, :, 2, 3] = torch.tensor([0.8, 0.4, 0.0])
    moved = translate(images, np.array([[1, -2]]))
    assert moved[0, 0].nonzero().tolist() == [[3, 1]]
    half, most = np.full(1, 0.5, np.float32), np.full(1, 1.0, np.float32)
    torch.testing.assert_close(recolour(images, half, half, half), images)
    torch.testing.assert_close(recolour(images, most, half, half), images + 0.5)
    torch.testing.assert_close(recolour(images, half, most, half)[0, :, 2, 3], torch.tensor([1.2, 0.4, -0.4]))
    mean = 0.4 / 64
    torch.testing.assert_close(recolour(images, half, half, most), mean + (images - mean) * 1.5)
    grey = recolour(images, half, np.zeros(1, np.float32), half)
    torch.testing.assert_close(grey[0, :, 2, 3], torch.full((3,), 0.4))


def test_augmentation_lets_gradients_through() -> None:
    images = torch.zeros(3, 3, 16, 8, requires_grad=True)
    augment(images, "translation_colour", random_generator(0)).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert augment(images, "none", random_generator(0)) is images


def test_batches_walk_through_the_set() -> None:
    data = people()
    source = TrainingCrops(data, *SIZE, 3, {"camera": np.searchsorted((3, 5), data.cameras)})
    batches = [source.batch(step, 3) for step in range(10)]
    assert all(batch["image"].shape == (3, *SIZE, 3) for batch in batches)
    for batch in batches:  # the colour says the camera: image and condition belong together
        red, blue = (batch["image"][..., channel].mean(axis=(1, 2)) for channel in (0, 2))
        np.testing.assert_array_equal(batch["camera"], (blue > red).astype(int))
    cameras = np.concatenate([batch["camera"] for batch in batches])
    assert [(cameras[start : start + 10] == 0).sum() for start in (0, 10, 20)] == [5, 5, 5], "epoch by epoch"
    np.testing.assert_array_equal(batches[4]["image"], source.batch(4, 3)["image"])


def test_mirrored_images_have_their_own_class() -> None:
    data = people()
    classes = np.stack([np.zeros(10, np.int64), np.ones(10, np.int64)], axis=1)
    bright_left = data.images.copy()
    bright_left[:, :, :9] = 255
    source = TrainingCrops(DomainData(bright_left), *SIZE, 3, {"pose_class": classes})
    batch = source.batch(0, 10)
    mirrored = batch["image"][:, :, -1].mean(axis=(1, 2)) > batch["image"][:, :, 0].mean(axis=(1, 2))
    np.testing.assert_array_equal(batch["pose_class"], mirrored.astype(int))
    assert set(batch["pose_class"]) == {0, 1}
