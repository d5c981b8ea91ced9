"""pix2pix and PN-GAN: their pairs, their terms, purity of generation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.common.skeletons import draw_skeleton
from pipeline.generators.batches.pairs import PosePairs, camera_partners, identity_partners, own_partners, pose_partners
from pipeline.generators.networks.blocks import initialize
from pipeline.generators.networks.unet import UNet
from pipeline.generators.recipes.base import Recipe, StepContext
from pipeline.generators.recipes.pix2pix import Pix2Pix, Pix2PixCameras, Pix2PixCamerasSettings, Pix2PixSettings
from pipeline.generators.recipes.pngan import PNGAN, PNGANSettings
from pipeline.generators.trained import load_generator, save_generator
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.training.data import DomainData

SMALL = {"ngf": 4, "ndf": 4}
HEIGHT, WIDTH = 64, 32
BONES = np.array([(0, -30), (3, -32), (-3, -32), (5, -30), (-5, -30), (8, -20), (-8, -20), (10, -8), (-10, -8), (11, 2),
                  (-11, 2), (5, 0), (-5, 0), (5, 14), (-5, 14), (5, 27), (-5, 27)], np.float32)  # fmt: skip


def people(count: int = 12, persons: int = 3) -> DomainData:
    """Standing figures, each person of one brightness, of three cameras; mask and joints where the figure is."""
    rng = np.random.Generator(np.random.Philox(1))
    images = np.zeros((count, HEIGHT, WIDTH, 3), np.uint8)
    masks = np.zeros((count, HEIGHT, WIDTH), bool)
    keypoints = np.full((count, 17, 3), 2, np.float32)
    for row in range(count):
        middle = np.array([16, 34]) + rng.integers(-2, 3, 2)
        keypoints[row, :, :2] = BONES * rng.uniform(0.8, 0.95) + middle + rng.normal(0, 0.7, (17, 2))
        masks[row, middle[1] - 31 : middle[1] + 27, middle[0] - 11 : middle[0] + 11] = True
        images[row][masks[row]] = 80 + 60 * (row % persons)
    numbers = np.arange(count)
    return DomainData(images, masks, keypoints, None, numbers % persons, 1 + numbers // persons % 3)


def recipes() -> list[Recipe]:
    data = {"source": people()}
    cameras = Pix2PixCamerasSettings(**SMALL, source_camera=1, target_camera=3)
    known = [
        Pix2Pix(Pix2PixSettings(**SMALL)),
        Pix2PixCameras(cameras),
        PNGAN(PNGANSettings(**SMALL, blocks=1, poses=3)),
    ]
    return [recipe.fitted(data) for recipe in known]


def context() -> StepContext:
    return StepContext(0, np.random.Generator(np.random.Philox(0)))


def batch_of(recipe: Recipe) -> dict[str, Tensor]:
    from pipeline.common.tensors import to_batch

    return to_batch(recipe.batches({"source": people()}, (HEIGHT, WIDTH), 0).batch(0, 3))


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_each_player_moves_its_own_network(recipe: Recipe) -> None:
    networks = recipe.build(torch.Generator().manual_seed(1), (HEIGHT, WIDTH))
    moved = []
    for player, terms in recipe.step(networks, batch_of(recipe), context()):
        networks.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        assert {name for name, one in networks.items() if any(p.grad is not None for p in one.parameters())} == {player}
        moved.append(player)
    assert moved == ["discriminator", "generator"]


def test_pngans_terms_are_the_papers_with_the_target_as_the_real_image() -> None:
    recipe = recipes()[2]
    networks = recipe.build(torch.Generator().manual_seed(1), (HEIGHT, WIDTH))
    batch = batch_of(recipe)
    terms = dict(recipe.step(networks, batch, context()))
    made = networks["generator"](torch.cat([batch["source"], batch["skeleton"]], dim=1))
    judge = networks["discriminator"]
    expected = 0.5 * ((judge(batch["target"]) - 1).square().mean() + judge(made).square().mean())
    torch.testing.assert_close(terms["discriminator"]["judge"], expected)
    torch.testing.assert_close(terms["generator"]["pixels"], 10 * (made - batch["target"]).abs().mean())
    torch.testing.assert_close(terms["generator"]["adversarial"], (judge(made) - 1).square().mean())


def test_pix2pix_judges_pairs() -> None:
    recipe = recipes()[0]
    networks = recipe.build(torch.Generator().manual_seed(1), (HEIGHT, WIDTH))
    batch = batch_of(recipe)
    terms = dict(recipe.step(networks, batch, context()))
    given = torch.cat([batch["skeleton"], batch["mask"] * 2 - 1], dim=1)
    made = networks["generator"](given)
    judge = networks["discriminator"]
    on_real, on_fake = (judge(torch.cat([given, images], dim=1)) for images in (batch["target"], made))
    expected = 0.5 * ((on_real - 1).square().mean() + on_fake.square().mean())
    torch.testing.assert_close(terms["discriminator"]["judge"], expected)
    torch.testing.assert_close(terms["generator"]["pixels"], 100 * (made - batch["target"]).abs().mean())


def test_pairs_are_of_one_person() -> None:
    data = people()
    pairs = identity_partners(data)
    assert data.identities is not None
    for row, partners in enumerate(pairs):
        assert row not in partners
        assert set(data.identities[partners]) == {data.identities[row]}
        assert len(partners) == 3
    across = camera_partners(data, 1, 3)
    assert data.cameras is not None
    for row, partners in enumerate(across):
        assert (len(partners) > 0) == (data.cameras[row] == 1)
        assert set(data.cameras[partners]) <= {3}
        assert set(data.identities[partners]) <= {data.identities[row]}
    with pytest.raises(UserError, match="no two training images make a pair"):
        PosePairs(data, [np.empty(0, np.int64)] * len(data), HEIGHT, WIDTH, 0)


def test_poses_are_of_one_camera_where_it_has_two_and_show_shoulders_and_hips() -> None:
    known = people(6, persons=1)
    assert known.keypoints is not None
    poses = known.keypoints.copy()
    poses[4, 11, 2] = 0
    data = replace(known, keypoints=poses, cameras=np.array([1, 1, 2, 3, 1, 2]))
    assert [found.tolist() for found in pose_partners(data)] == [[1], [0], [5], [0, 1, 2, 5], [], [2]]
    anywhere = pose_partners(replace(data, cameras=None))
    assert [found.tolist() for found in anywhere][2:5] == [[0, 1, 3, 5], [0, 1, 2, 5], []]


def test_source_and_target_show_the_same_person_mirrored_or_not_alike() -> None:
    data = people()
    images = data.images.copy()
    images[:, :, : WIDTH // 2, 0] = 255  # red on the left: tells what was mirrored
    pairs = PosePairs(DomainData(images, data.masks, data.keypoints), identity_partners(data), HEIGHT, WIDTH, 3)
    flips = set()
    for step in range(20):
        batch = pairs.batch(step, 4)
        red = [batch[name][..., 0].mean(axis=1) for name in ("source", "target")]
        flipped = [np.asarray(columns[:, 0] < columns[:, -1]) for columns in red]
        np.testing.assert_array_equal(*flipped)
        flips |= set(flipped[0].tolist())
    assert flips == {True, False}


def test_drawing_and_mask_move_with_the_target() -> None:
    pairs = PosePairs(people(), own_partners(people()), HEIGHT, WIDTH, 5)
    for step in range(10):
        batch = pairs.batch(step, 4)
        np.testing.assert_array_equal(batch["source"], batch["target"])
        lit = batch["target"].max(axis=3) > 40
        assert (lit == batch["mask"]).mean() > 0.95
        limbs = batch["skeleton"].max(axis=3) > 128
        assert (limbs & batch["mask"]).sum() > 0.9 * limbs.sum(), "the joints lie on the person"


def test_mirrored_drawing_keeps_left_cold() -> None:
    data = people()
    assert data.keypoints is not None
    pairs = PosePairs(data, own_partners(data), HEIGHT, WIDTH, 5)
    preview = pairs.preview(2)
    first: NDArray[np.float32] = data.resized(pairs.data.images.shape[1], pairs.data.images.shape[2]).keypoints[0]  # type: ignore[index]
    scale = np.array([WIDTH / pairs.data.images.shape[2], HEIGHT / pairs.data.images.shape[1], 1], np.float32)
    np.testing.assert_array_equal(preview["skeleton"][0], draw_skeleton(first * scale, HEIGHT, WIDTH))


@pytest.mark.parametrize("size", [(64, 32), (128, 64), (256, 128), (96, 48)])
def test_unet_fits_any_size(size: tuple[int, int]) -> None:
    network = UNet(size, 4, width=4)
    assert network(torch.zeros(1, 4, *size)).shape == (1, 3, *size)
    with pytest.raises(ValueError, match="can be halved twice"):
        UNet((30, 14), 4)


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_rows_do_not_depend_on_their_batch(recipe: Recipe, tmp_path: Path) -> None:
    size = HEIGHT, WIDTH
    network: nn.Module = initialize(recipe.build_generator(size), torch.Generator().manual_seed(3), deviation=0.3)
    save_generator(tmp_path / "generator.safetensors", network, recipe, *size)
    generator = load_generator(tmp_path, batch_size=4)
    columns = recipe.batches({"source": people()}, size, 0).batch(0, 7)
    together = generator.generate(columns)
    assert together.std() > 1
    for cut in (1, 3):
        parts = [
            generator.generate({name: column[start : start + cut] for name, column in columns.items()})
            for start in range(0, 7, cut)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), together)


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_taken_up_again_it_ends_the_same(recipe: Recipe, tmp_path: Path) -> None:
    settings = TrainingSettings(
        steps=4, batch_size=2, height=HEIGHT, width=WIDTH, precision="float32", checkpoint_every=2
    )

    def run(folder: str) -> dict[str, Tensor]:
        data = recipe.batches({"source": people()}, (HEIGHT, WIDTH), 1)
        training = Training(recipe, data, tmp_path / folder, settings)
        training.run()
        return {name: tensor.clone() for name, tensor in training.networks.state_dict().items()}

    unbroken, _ = run("a"), run("b")
    (tmp_path / "b" / "checkpoints" / "step_000000004.pt").unlink()
    broken = run("b")
    assert all(torch.equal(broken[name], tensor) for name, tensor in unbroken.items())


def test_canonical_poses_travel_with_the_weights(tmp_path: Path) -> None:
    recipe = recipes()[2]
    save_generator(tmp_path / "generator.safetensors", recipe.build_generator((64, 32)), recipe, 64, 32)
    poses = np.array(load_generator(tmp_path).settings["canonical_poses"])
    assert poses.shape == (3, 17, 2)
    assert ((poses >= 0) & (poses <= 1)).all()


def test_given_canonical_poses_are_kept() -> None:
    recipe = recipes()[2]
    moved = recipe.settings.model_copy(update={"canonical_poses": recipe.settings.canonical_poses[:1]})  # type: ignore[attr-defined]
    assert PNGAN(moved).fitted({"source": people()}).settings == moved


@pytest.mark.parametrize(("norm", "seen"), [("instance", False), ("pixel", True)])
def test_pngans_norm_hides_the_sources_tint_or_not(norm: str, seen: bool) -> None:
    recipe = PNGAN(PNGANSettings.model_validate({**SMALL, "blocks": 1, "norm": norm}))
    network = initialize(recipe.build_generator((64, 32)), torch.Generator().manual_seed(0), deviation=0.1)
    batch = batch_of(recipes()[2])
    with torch.no_grad():
        made, tinted = (recipe.generate(network, {**batch, "source": batch["source"] + t}) for t in (0.0, 0.2))
    assert (float((made - tinted).abs().mean()) > 0.01) == seen
