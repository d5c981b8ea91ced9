"""Trained generators: saved, found, loaded, and pure functions of each image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.checkpoints.state import save_state
from pipeline.common.finite import NotFiniteError
from pipeline.common.precision import Precision
from pipeline.common.tensors import to_signed, to_uint8
from pipeline.generators.networks.blocks import initialize
from pipeline.generators.recipes.base import Batch
from pipeline.generators.recipes.ptgan import PTGAN, PTGANSettings
from pipeline.generators.trained import Generator, load_generator, save_generator
from tests.pipeline.spoiled import spoil_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a training whose generator changes pictures strongly."""
    recipe = PTGAN(PTGANSettings(ngf=8, blocks=2, ndf=8))
    network = initialize(recipe.build_generator((32, 16)), torch.Generator().manual_seed(3), deviation=0.3)
    output = tmp_path_factory.mktemp("generator")
    save_generator(output / "generator.safetensors", network, recipe, 32, 16)
    return output


def crops(count: int, height: int = 32, width: int = 16) -> NDArray[np.uint8]:
    rng = np.random.Generator(np.random.Philox(0))
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def load(folder: Path, precision: Precision = "float32", batch_size: int = 4) -> Generator:
    return load_generator(folder, precision=precision, batch_size=batch_size)


def test_signed_and_back_is_exact() -> None:
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    signed = to_signed(every)
    assert (signed.min(), signed.max()) == (-1, 1)
    np.testing.assert_array_equal(to_uint8(signed), every)
    np.testing.assert_array_equal(to_uint8(torch.tensor([-3.0, 3.0, 0.0]).view(1, 3, 1, 1)), [[[[0, 255, 128]]]])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_row_does_not_depend_on_its_neighbours(folder: Path, precision: Precision) -> None:
    generator, images = load(folder, precision), crops(11)
    together = generator.translate(images)
    alone = np.concatenate([generator.translate(images[row : row + 1]) for row in range(len(images))])
    order = np.random.Generator(np.random.Philox(1)).permutation(len(images))
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(generator.translate(images[order]), together[order])
    assert np.abs(together.astype(int) - images).mean() > 5


def test_precisions_agree_but_for_rounding(folder: Path) -> None:
    exact, fast = (load(folder, precision).translate(crops(4)).astype(int) for precision in ("float32", "bfloat16"))
    assert 0 < np.abs(exact - fast).mean() < 6


def test_it_is_the_network_that_was_saved(folder: Path) -> None:
    recipe = PTGAN(PTGANSettings(ngf=8, blocks=2, ndf=8))
    network = initialize(recipe.build_generator((32, 16)), torch.Generator().manual_seed(3), deviation=0.3)
    with torch.no_grad():
        expected = to_uint8(network(to_signed(crops(2))))
    generator = load(folder)
    assert (generator.recipe, generator.height, generator.width) == ("ptgan", 32, 16)
    assert generator.settings["identity_weight"] == 10
    assert np.abs(generator.translate(crops(2)).astype(int) - expected).mean() < 1.5, "float16 on disk"


def test_other_sizes(folder: Path) -> None:
    generator = load(folder)
    assert generator.translate(crops(5, 64, 32)).shape == (5, 64, 32, 3)
    assert generator.translate(crops(0)).shape == (0, 32, 16, 3)
    with pytest.raises(ValueError, match="divisible by 4"):
        generator.translate(crops(1, 30, 16))
    with pytest.raises(ValueError, match="uint8"):
        generator.translate(crops(1).astype(np.float32))  # type: ignore[arg-type]


def test_mistakes_are_user_errors(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown checkpoint 'no_such_generator'"):
        load_generator("no_such_generator")
    foreign = tmp_path / "foreign.safetensors"
    save_state({"weight": torch.zeros(2)}, foreign)
    with pytest.raises(UserError, match="does not say how to build it"):
        load_generator(foreign)
    misfit = tmp_path / "misfit.safetensors"
    recipe = PTGAN(PTGANSettings(ngf=8, blocks=2))
    save_generator(misfit, PTGAN(PTGANSettings(ngf=4, blocks=2)).build_generator((32, 16)), recipe, 32, 16)
    with pytest.raises(UserError, match="does not fit its own settings"):
        load_generator(misfit)


def test_same_weights_same_bytes(folder: Path, tmp_path: Path) -> None:
    recipe = PTGAN(PTGANSettings(ngf=8, blocks=2, ndf=8))
    network = initialize(recipe.build_generator((32, 16)), torch.Generator().manual_seed(3), deviation=0.3)
    sha256 = save_generator(tmp_path / "again.safetensors", network, recipe, 32, 16)
    assert sha256 == load(folder).sha256


class Poisoned(PTGAN):
    """Its generator makes one value NaN in each picture whose first pixel is white."""

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        made = super().generate(generator, batch)
        made[batch["source"][:, 0, 0, 0] == 1, 1, 2, 3] = torch.nan
        return made


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_rows_that_are_not_finite_are_told_apart(folder: Path, precision: Precision) -> None:
    good, images = load(folder, precision), crops(11)
    images[:, 0, 0], images[[2, 9], 0, 0] = 0, 255
    bad = replace(good, _recipe=Poisoned(PTGANSettings(ngf=8, blocks=2, ndf=8)))
    made, finite = bad.attempt({"source": images})
    assert np.flatnonzero(~finite).tolist() == [2, 9]
    np.testing.assert_array_equal(made[finite], good.translate(images)[finite])
    with pytest.raises(NotFiniteError, match="pixels that are not finite in 2 of 11 images"):
        bad.translate(images)
    assert bad.attempt({"source": images[:0]})[1].shape == (0,)


def test_weights_that_are_not_finite_are_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    path.write_bytes((folder / path.name).read_bytes())
    spoil_file(path)
    with pytest.raises(UserError, match=r"^\S+ holds weights that are not finite \([\w.]+\): [^\n]*$"):
        load(tmp_path)
