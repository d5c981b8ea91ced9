"""How generators double their images: by default with hardly a grid, as papers do where asked, and as begun."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from manifests.errors import UserError
from pipeline.checkpoints import load_metadata
from pipeline.checkpoints.table import WEIGHTS_FOLDER
from pipeline.generators.networks.blocks import DEFAULT_UPSAMPLING, Upsampling
from pipeline.generators.recipes import RECIPES
from pipeline.generators.recipes.base import DoublingSettings
from pipeline.generators.recipes.cyclegan import CycleGANSettings
from pipeline.generators.trained import load_generator
from tests.pipeline.generators.recipes.test_patch_critic import recipe_of, trained, training
from tests.pipeline.tiny_generators import SIZE, save_tiny

DOUBLING = [name for name, recipe in RECIPES.items() if issubclass(recipe.settings_model, DoublingSettings)]
FITTED: dict[str, dict[str, Any]] = {"camstyle_multidomain": {"cameras": (1, 2)}, "cgan": {"cameras": (1, 2)}}


def transposed(network: nn.Module) -> int:
    return sum(isinstance(one, nn.ConvTranspose2d) for one in network.modules())


def test_every_generator_that_doubles_asks_how() -> None:
    assert set(RECIPES) - set(DOUBLING) == {
        "personflow",  # by resize alone
        "reinhard",
        "colour_jitter",
        "reinhard_cameras",
        "colour_jitter_cameras",
        "pasted",
        "pasted_cameras",
        "part_warp",
    }


@pytest.mark.parametrize("name", DOUBLING)
def test_by_default_no_generator_has_the_layers_that_leave_a_grid(name: str) -> None:
    fitted = FITTED.get(name, {})
    assert transposed(recipe_of(name, **fitted).build_generator(SIZE)) == 0
    assert transposed(recipe_of(name, **fitted, upsampling="transposed").build_generator(SIZE)) >= 2


@pytest.mark.parametrize("name", DOUBLING)
def test_weights_say_how(name: str, tmp_path: Path) -> None:
    ways: list[Upsampling | None] = [None, "transposed", "resize"]
    for how in ways:
        save_tiny(tmp_path, name, upsampling=how, **FITTED.get(name, {}))
        settings = json.loads(load_metadata(tmp_path / "generator.safetensors")["settings"])
        assert settings["upsampling"] == (how or DEFAULT_UPSAMPLING)
        generator = load_generator(tmp_path)
        assert (transposed(generator.network) > 0) == (how == "transposed")


def test_a_training_begun_with_transposed_convolutions_goes_on_with_them(tmp_path: Path) -> None:
    whole = trained(training(tmp_path / "old", upsampling="transposed"))
    (tmp_path / "old" / "checkpoints" / "step_000000004.pt").unlink()
    again = training(tmp_path / "old")
    assert isinstance(again.recipe.settings, CycleGANSettings)
    assert again.recipe.settings.upsampling == "transposed"
    taken_up = trained(again)
    assert whole.keys() == taken_up.keys()
    assert all(torch.equal(whole[name], taken_up[name]) for name in whole)
    with pytest.raises(UserError, match="was started with upsampling=transposed, now it is resize"):
        training(tmp_path / "old", upsampling="resize").run()


def test_what_was_left_open_is_what_the_default_is(tmp_path: Path) -> None:
    left_open = training(tmp_path / "open").recipe.settings
    assert left_open == training(tmp_path / "asked", upsampling=DEFAULT_UPSAMPLING).recipe.settings


def test_the_shipped_generators_are_as_they_were_made() -> None:
    shipped = load_metadata(WEIGHTS_FOLDER / "ptgan_market_like_to_duke_like.safetensors")
    assert json.loads(shipped["settings"])["upsampling"] == "resize"
