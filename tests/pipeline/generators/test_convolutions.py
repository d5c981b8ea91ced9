"""How convolutions are computed: rows stay functions of themselves, and what is chosen is chosen once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.cluster.synthesize import prepare_synthesis
from pipeline.generators import convolutions_trial
from pipeline.generators.convolutions import WAYS, Convolutions
from pipeline.generators.convolutions_trial import LEAST_ROWS, ConvolutionsTrial
from pipeline.generators.networks.blocks import initialize
from pipeline.generators.recipes.gan_lsro import GanLsro, GanLsroSettings
from pipeline.generators.recipes.ptgan import PTGAN, PTGANSettings
from pipeline.generators.trained import Generator, load_generator, save_generator
from pipeline.generators.trained_set import open_generators
from pipeline.synthesis.remaking import remake
from tests.conftest import ToySources
from tests.pipeline.tiny_synthesis import made, pixels, settings_of

SIZE = 32, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator as wide as trunks are worth it."""
    recipe = PTGAN(PTGANSettings(ngf=24, blocks=2, ndf=8))
    network = initialize(recipe.build_generator(SIZE), torch.Generator().manual_seed(3), deviation=0.1)
    output = tmp_path_factory.mktemp("generator")
    save_generator(output / "generator.safetensors", network, recipe, *SIZE)
    return output


@pytest.fixture
def pictures() -> NDArray[np.uint8]:
    return np.random.Generator(np.random.Philox(0)).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("way", WAYS)
def test_a_row_depends_on_itself_alone(folder: Path, pictures: NDArray[np.uint8], way: Convolutions) -> None:
    generator = load_generator(folder, precision="float32", batch_size=4, convolutions=way)
    assert (generator.convolutions, generator.at_a_time) == (way, 4 if way == "channels_last" else 1)
    together = generator.translate(pictures)
    alone = [generator.translate(pictures[row : row + 1]) for row in range(len(pictures))]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_all_ways_make_the_same_pictures(folder: Path, pictures: NDArray[np.uint8]) -> None:
    made = [load_generator(folder, precision="float32", convolutions=way).translate(pictures) for way in WAYS]
    assert made[0].std() > 20
    for other in made[1:]:
        assert np.abs(made[0].astype(int) - other).max() <= 1, "rounded to the other side"


def test_untried_a_residual_generator_sees_one_large_image_at_a_time(folder: Path, tmp_path: Path) -> None:
    assert load_generator(folder).convolutions == "channels_last", "small images"
    recipe = PTGAN(PTGANSettings(ngf=4, blocks=2, ndf=8))
    save_generator(tmp_path / "large.safetensors", recipe.build_generator((128, 64)), recipe, 128, 64)
    assert load_generator(tmp_path / "large.safetensors").convolutions == "planar"
    assert load_generator(tmp_path / "large.safetensors", convolutions="winograd").convolutions == "planar", "narrow"
    recipe = GanLsro(GanLsroSettings(ngf=8, ndf=8))
    save_generator(tmp_path / "generator.safetensors", recipe.build_generator(SIZE), recipe, *SIZE)
    assert load_generator(tmp_path).convolutions == "channels_last"


@pytest.fixture
def choose(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Convolutions]:
    monkeypatch.setenv("REID_SYNTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(convolutions_trial, "_ENOUGH_SECONDS", 0.0)

    def chosen(rows: int, pictures: NDArray[np.uint8], threads: int = 1) -> Convolutions:
        trial = ConvolutionsTrial(open_generators(str(folder)), SIZE, "float32", 4, threads)
        return trial.choose(rows, lambda: pictures)

    return chosen


def fastest(monkeypatch: pytest.MonkeyPatch, way: Convolutions) -> None:
    def rate(generator: Generator, columns: object) -> float:
        return 2.0 if generator.convolutions == way else 1.0

    monkeypatch.setattr(convolutions_trial, "images_a_second", rate)


@pytest.mark.parametrize("way", WAYS)
def test_the_fastest_is_chosen_and_stays(
    choose: Callable[..., Convolutions],
    pictures: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    way: Convolutions,
) -> None:
    fastest(monkeypatch, way)
    assert choose(LEAST_ROWS, pictures) == way
    assert f"convolutions: {way} (" in capsys.readouterr().out
    fastest(monkeypatch, "planar" if way == "winograd" else "winograd")
    assert choose(LEAST_ROWS, pictures) == way, "kept"
    assert capsys.readouterr().out == f"convolutions: {way} (found in a trial before)\n"
    assert choose(LEAST_ROWS, pictures, threads=2) != way, "another question"


def test_few_rows_are_not_worth_a_trial(choose: Callable[..., Convolutions], pictures: NDArray[np.uint8]) -> None:
    before = torch.get_num_threads()
    assert choose(LEAST_ROWS - 1, pictures) == "channels_last"
    assert choose(LEAST_ROWS, pictures, threads=before + 1) in WAYS, "really measured"
    assert torch.get_num_threads() == before


def test_what_is_too_far_off_is_not_chosen(
    choose: Callable[..., Convolutions], pictures: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    fastest(monkeypatch, "winograd")
    monkeypatch.setattr(convolutions_trial, "LEAST_PSNR", 1000.0)
    assert choose(LEAST_ROWS, pictures) != "winograd"


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0]), (3, [0, 1, 2]), (30, [0, 10, 19, 29])], ids=["one", "few", "many"]
)
def test_of_a_set_generators_from_its_first_to_its_last_are_held(
    count: int,
    expected: list[int],
    folder: Path,
    pictures: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """How far off winograd is depends on the weights: the first cannot speak for all."""
    monkeypatch.setenv("REID_SYNTH_CACHE", str(tmp_path / "cache"))
    fastest(monkeypatch, "winograd")
    one = open_generators(str(folder))
    (member,) = one.members.values()
    trial = ConvolutionsTrial(
        replace(one, members={str(number): member for number in range(count)}), SIZE, "float32", 4, 1
    )
    for far in (None, expected[-1]):
        held: list[int] = []

        def likeness(trial: ConvolutionsTrial, name: str, _: object, held: list[int] = held, far: Any = far) -> float:
            held.append(int(name))
            return 0.0 if int(name) == far else 99.0

        monkeypatch.setattr(ConvolutionsTrial, "_likeness", likeness)
        assert ("winograd" in trial.rates(pictures)) == (far is None)
        assert held == expected


def test_what_is_kept_is_of_all_generators_that_were_held(
    choose: Callable[..., Convolutions], folder: Path, pictures: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    fastest(monkeypatch, "winograd")
    assert choose(LEAST_ROWS, pictures) == "winograd"
    one = open_generators(str(folder))
    (member,) = one.members.values()
    pair = replace(one, members={"1 to 2": member, "2 to 1": replace(member, sha256="0" * 64)})
    for generators, known in ((one, "winograd"), (pair, None)):
        assert ConvolutionsTrial(generators, SIZE, "float32", 4, 1).known(LEAST_ROWS) == known


def test_a_damaged_answer_is_asked_for_again(
    choose: Callable[..., Convolutions], pictures: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fastest(monkeypatch, "planar")
    choose(LEAST_ROWS, pictures)
    (kept,) = (tmp_path / "cache" / "trials").iterdir()
    assert json.loads(kept.read_text())["fastest"] == "planar"
    kept.write_text('{"fastest": "anything"}')
    fastest(monkeypatch, "winograd")
    assert choose(LEAST_ROWS, pictures) == "winograd"


def test_an_answer_that_can_not_be_kept_is_used(
    choose: Callable[..., Convolutions],
    pictures: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "cache").touch()
    fastest(monkeypatch, "winograd")
    assert choose(LEAST_ROWS, pictures) == "winograd"
    assert "a rerun needs --convolutions winograd" in capsys.readouterr().err


def test_a_plan_says_what_was_chosen_and_its_rows_are_made_so_again(
    folder: Path, toy_sources: ToySources, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REID_SYNTH_CACHE", str(tmp_path / "cache"))
    settings = settings_of("ptgan", height=32, width=16)
    small = prepare_synthesis(toy_sources.market, None, str(folder), settings, annotations_uri=None)
    assert small.settings.convolutions == "channels_last"
    monkeypatch.setattr(convolutions_trial, "LEAST_ROWS", 1)
    monkeypatch.setattr(convolutions_trial, "images_a_second", None)
    inputs = toy_sources.market, None, str(folder), settings
    told = prepare_synthesis(*inputs, annotations_uri=None, only_told=True)
    assert "when a trial has chosen how convolutions are computed" in told.dry_run_lines()[0]
    assert not (tmp_path / "cache").exists(), "a dry run tries nothing and leaves nothing"
    fastest(monkeypatch, "winograd")
    job = prepare_synthesis(toy_sources.market, None, str(folder), settings, annotations_uri=None)
    told = prepare_synthesis(*inputs, annotations_uri=None, only_told=True)
    assert told.dry_run_lines() == job.dry_run_lines(), "the answer is there"
    assert job.settings.convolutions == "winograd"
    assert job.plan.plan_id != small.plan.plan_id
    monkeypatch.setattr(convolutions_trial, "images_a_second", None)
    again = prepare_synthesis(toy_sources.market, None, str(folder), settings, annotations_uri=None)
    assert again.plan.plan_id == job.plan.plan_id, "the answer is kept: a run is taken up again"
    dataset = made(job, tmp_path / "set")
    assert dataset.run["run"]["settings"]["convolutions"] == "winograd"
    assert {one.outcome for one in remake(dataset, list(pixels(dataset)))} == {"identical"}
