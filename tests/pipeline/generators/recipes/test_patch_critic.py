"""How large the patches of the discriminators are: by size, by setting, and in trainings begun before there was one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.checkpoints import load_metadata, load_state
from pipeline.checkpoints.state import save_state
from pipeline.generators.recipes import RECIPES
from pipeline.generators.recipes.base import Recipe
from pipeline.generators.recipes.cyclegan import CycleGAN, CycleGANSettings
from pipeline.generators.trained import load_generator
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.training.data import DomainData, UnpairedDomains
from tests.pipeline.tiny_generators import save_tiny

SMALL = {"ngf": 4, "blocks": 1, "ndf": 4}
JUDGED = ("cyclegan", "camstyle", "ptgan", "spgan", "pix2pix", "pix2pix_cameras", "pngan")


def recipe_of(name: str, **settings: Any) -> Recipe:
    model = RECIPES[name].settings_model
    known = {key: value for key, value in SMALL.items() if key in model.model_fields}
    return RECIPES[name](model.model_validate({**known, **settings}))


def strided(judge: nn.Module) -> int:
    return sum(isinstance(layer, nn.Conv2d) and layer.stride == (2, 2) for layer in judge.modules())


def judges(recipe: Recipe, size: tuple[int, int]) -> list[int]:
    networks = recipe.build(torch.Generator().manual_seed(0), size)
    return [strided(network) for name, network in networks.items() if name.endswith(("judge", "discriminator"))]


def training(output: Path, size: tuple[int, int] = (64, 32), **settings: Any) -> Training:
    rng = np.random.Generator(np.random.Philox(0))
    images = [rng.integers(0, 256, (4, 72, 36, 3), dtype=np.uint8) for _ in range(2)]
    data = UnpairedDomains(*map(DomainData, images), *size, seed=1)
    how = TrainingSettings(steps=4, height=size[0], width=size[1], precision="float32", checkpoint_every=2)
    return Training(CycleGAN(CycleGANSettings.model_validate({**SMALL, **settings})), data, output, how)


def trained(run: Training) -> dict[str, Tensor]:
    run.run()
    return {name: tensor.clone() for name, tensor in run.networks.state_dict().items()}


def forget(output: Path, *names: str) -> None:
    """As a version wrote it that had no such settings; the last state is lost."""
    *_, last = sorted((output / "checkpoints").iterdir())
    last.unlink()
    for path in (output / "checkpoints").iterdir():
        state = torch.load(path, weights_only=True)
        for name in names:
            del state["identity"][name]
        torch.save(state, path)


@pytest.mark.parametrize("name", JUDGED)
def test_layers_follow_from_the_size_or_the_setting(name: str) -> None:
    count = 2 if "cyclegan" in [one.name for one in RECIPES[name].__mro__ if hasattr(one, "name")] else 1
    for size, layers in (((256, 128), 3), ((128, 64), 3), ((64, 32), 2)):
        assert judges(recipe_of(name), size) == [layers] * count
    assert judges(recipe_of(name, judge_layers=1), (64, 32)) == [1] * count


def test_images_that_are_too_small_for_the_layers_are_refused() -> None:
    with pytest.raises(UserError, match=r"3 layers needs images of 24 pixels a side, these are 32 x 16: lower --judge"):
        judges(recipe_of("cyclegan", judge_layers=3), (32, 16))
    assert judges(recipe_of("cyclegan"), (32, 16)) == [1, 1]


def test_a_training_records_what_was_chosen(tmp_path: Path) -> None:
    chosen = training(tmp_path / "by_size").recipe.settings
    assert chosen == training(tmp_path / "asked", judge_layers=2).recipe.settings
    assert training(tmp_path / "asked", judge_layers=1).recipe.settings.judge_layers == 1  # type: ignore[attr-defined]


def test_a_training_from_before_the_setting_goes_on_with_three_layers(tmp_path: Path) -> None:
    whole = trained(training(tmp_path / "old", judge_layers=3))
    forget(tmp_path / "old", "judge_layers")
    again = training(tmp_path / "old")
    assert again.recipe.settings.judge_layers == 3  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="was started with judge_layers=3, now it is 2"):
        training(tmp_path / "old", judge_layers=2).run()
    taken_up = trained(again)
    assert whole.keys() == taken_up.keys()
    assert all(torch.equal(whole[name], taken_up[name]) for name in whole)


@pytest.mark.parametrize("name", ["ptgan", "spgan", "pix2pix", "pngan"])
def test_a_generator_from_before_the_setting_loads(name: str, tmp_path: Path) -> None:
    save_tiny(tmp_path, name)
    path = tmp_path / "generator.safetensors"
    metadata, tensors = load_metadata(path), load_state(path)
    settings = json.loads(metadata["settings"])
    for new in ("judge_layers", "siamese_from", "contrastive_from", "generator_steps"):
        settings.pop(new, None)
    if name == "spgan":
        settings["negative_pairs"] = "translated"
    save_state(tensors, path, {**metadata, "settings": json.dumps(settings)})
    kept = load_generator(path).settings
    assert {key: kept[key] for key in settings} == settings
