"""The conditional GAN: conditions reach both networks, the class terms, what is fitted to the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifests.errors import UserError
from pipeline.common.tensors import to_batch
from pipeline.generators.networks.dcgan import DCGANDiscriminator
from pipeline.generators.recipes.base import StepContext
from pipeline.generators.recipes.cgan import CGAN, CGANSettings
from pipeline.generators.recipes.gan_lsro import draw_noise
from pipeline.generators.trained import load_generator, save_generator
from pipeline.training.data import DomainData
from pipeline.training.randomness import random_generator
from tests.pipeline.generators.recipes.test_gan_lsro import (
    SIZE,
    SMALL,
    assert_players_move_their_own,
    people,
    trained_state,
)


def posing(count: int = 24) -> DomainData:
    """People who walk to one side or the other, by their images' row; the last one shows no torso."""
    data = people(count)
    heights = np.array([3, 2, 2, 3, 3, 7, 7, 12, 12, 16, 16, 17, 17, 26, 26, 33, 33], np.float32)
    sides = np.array([0, 1, -1, 1, -1, 2, -2, 3, -3, 3, -3, 1, -1, 1, -1, 2, -2], np.float32)
    points = np.ones((count, 17, 3), np.float32)
    points[:, :, 1] = heights
    points[:, :, 0] = 9 + sides + random_generator(0).normal(0, 0.1, (count, 17))
    points[::2, 13:, 0] += 5
    points[1::2, 13:, 0] -= 5
    points[-1, [5, 6, 11, 12], 2] = 0
    return DomainData(data.images, keypoints=points, cameras=data.cameras)


def fitted(data: DomainData | None = None, **changed: Any) -> CGAN:
    settings = CGANSettings.model_validate({**SMALL, **changed})
    return CGAN(settings).fitted({"source": people() if data is None else data})


def test_it_learns_which_cameras_there_are() -> None:
    recipe = fitted()
    assert recipe.settings.cameras == (3, 5)
    assert (recipe.needs, recipe.inputs) == ({"cameras"}, ("noise", "camera"))
    assert recipe.build_generator(SIZE).layers[0].in_features == 6 + 2  # type: ignore[index, union-attr]
    batch = recipe.batches({"source": people()}, SIZE, 0).batch(0, 10)
    assert sorted(batch["camera"]) == [0] * 5 + [1] * 5


def test_mistakes_are_one_line() -> None:
    data = people()
    with pytest.raises(UserError, match="its training set knows none"):
        fitted(DomainData(data.images))
    with pytest.raises(UserError, match="leave out those without"):
        fitted(DomainData(data.images, cameras=np.full(10, -1)))
    with pytest.raises(UserError, match="does not know its cameras yet"):
        CGAN().build(torch.Generator(), SIZE)
    with pytest.raises(UserError, match="needs the keypoints"):
        fitted(pose_classes=2)


@pytest.mark.parametrize("changes", [{}, {"class_weight": 0}, {"augmentation": "translation"}])
def test_each_players_loss_reaches_its_networks_only(changes: dict[str, Any]) -> None:
    recipe = fitted(**changes)
    batch = to_batch(recipe.batches({"source": people()}, SIZE, 0).batch(0, 4))
    assert_players_move_their_own(recipe, batch)


def test_projection_is_the_papers() -> None:
    judge = DCGANDiscriminator(SIZE, 4, (2, 3), guesses=True).eval()
    images = torch.rand(4, 3, *SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    given = torch.zeros(4, 5)
    given[range(4), [0, 1, 0, 1]] = 1
    given[range(4), [2, 3, 4, 2]] = 1
    assert judge.projection is not None
    features = judge.layers(images)
    embedding = judge.projection.weight  # (features, classes)
    for row in range(4):
        pooled = features[row].mean(dim=(1, 2))
        classes = given[row].nonzero().flatten()
        expected = judge.score(features[row].flatten())[0] + sum(embedding[:, k] @ pooled for k in classes)
        torch.testing.assert_close(judge(images, given).scores[row], expected)
    assert [guess.shape for guess in judge(images, given).guesses] == [(4, 2), (4, 3)]


def test_class_terms_by_hand() -> None:
    recipe = fitted(class_weight=0.5)
    networks = recipe.build(torch.Generator().manual_seed(1), SIZE)
    batch = to_batch(recipe.batches({"source": people()}, SIZE, 0).batch(0, 4))
    made = dict(recipe.step(networks, batch, StepContext(0, random_generator(7))))
    given = torch.eye(2)[batch["camera"]]
    noise = torch.from_numpy(draw_noise(recipe.settings, 4, random_generator(7)))
    fake = networks["generator"](torch.cat([noise, given], dim=1))
    for images, term in ((batch["image"], "known"), (fake, "named")):
        guess = networks["discriminator"](images, given).guesses[0].log_softmax(dim=1)
        expected = -0.5 * (guess * given).sum(dim=1).mean()
        player = "discriminator" if term == "known" else "generator"
        torch.testing.assert_close(made[player][f"camera_{term}"], expected)
    assert set(made["discriminator"]) == {"real", "fake", "camera_known"}


def test_a_row_depends_on_its_noise_and_camera_alone(tmp_path: Path) -> None:
    recipe = fitted()
    network = recipe.build(torch.Generator().manual_seed(1), SIZE)["generator"]
    network(torch.randn(8, 8, generator=torch.Generator().manual_seed(3)))
    save_generator(tmp_path / "generator.safetensors", network, recipe, *SIZE)
    generator = load_generator(tmp_path, precision="float32", batch_size=4)
    assert generator.settings["cameras"] == [3, 5]
    columns = {"noise": draw_noise(recipe.settings, 7, random_generator(4)), "camera": np.arange(7) % 2}
    together = generator.generate(columns)
    for row in range(7):
        alone = generator.generate({name: column[row : row + 1] for name, column in columns.items()})
        np.testing.assert_array_equal(together[row], alone[0])
    other = generator.generate({**columns, "camera": 1 - columns["camera"]})
    assert (other != together).any(axis=(1, 2, 3)).all()
    with pytest.raises(ValueError, match="reads the columns"):
        generator.generate({"noise": columns["noise"]})


def test_pose_classes_are_a_second_condition() -> None:
    data = posing()
    recipe = fitted(data, pose_classes=2)
    assert recipe.needs == {"cameras", "keypoints"}
    assert recipe.inputs == ("noise", "camera", "pose_class")
    assert np.shape(recipe.settings.canonical_poses) == (2, 17, 2)
    again = CGAN(CGANSettings.model_validate_json(recipe.settings.model_dump_json()))
    assert again.settings == recipe.settings
    source = recipe.batches({"source": data}, SIZE, 0)
    shown = source.preview(23)
    assert len(shown["image"]) == 23, "without the one whose torso was not seen"
    np.testing.assert_array_equal(shown["pose_class"][::2], shown["pose_class"][0])
    np.testing.assert_array_equal(shown["pose_class"][1::2], 1 - shown["pose_class"][0])
    assert_players_move_their_own(recipe, to_batch(source.batch(0, 4)))
    preview = recipe.preview(recipe.build(torch.Generator(), SIZE), to_batch(source.preview(2)))
    assert list(preview) == ["real", "camera 3", "camera 5"]


def test_it_learns_the_colour_of_each_camera(tmp_path: Path) -> None:
    recipe = fitted(ngf=8, ndf=8, learning_rate=2e-3)
    data = recipe.batches({"source": people()}, SIZE, 1)
    state = trained_state(recipe, data, tmp_path, steps=150, batch_size=8, sample_every=1000)
    network = recipe.build_generator(SIZE).eval()
    network.load_state_dict({n.removeprefix("generator."): t for n, t in state.items() if n.startswith("generator.")})
    batch = {"noise": torch.from_numpy(draw_noise(recipe.settings, 20, random_generator(3)))}
    with torch.no_grad():
        first, second = (recipe.generate(network, {**batch, "camera": torch.full((20,), k)}) for k in (0, 1))
    redness = [(images[:, 0] - images[:, 2]).mean(dim=(1, 2)) for images in (first, second)]
    assert (redness[0] > 0.2).all()
    assert (redness[1] < -0.2).all()
