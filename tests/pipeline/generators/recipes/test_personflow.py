"""personflow: its path, its loss, its steps, its conditions; what it makes depends on a row alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from manifests.errors import UserError
from pipeline.common.precision import Precision
from pipeline.common.skeletons import as_joints
from pipeline.generators.backgrounds import pasted
from pipeline.generators.networks.flow import ITSELF, MOVED, NOTHING, FlowNetwork, start
from pipeline.generators.noise import photographic_noise
from pipeline.generators.puppets import joints_of, move_parts
from pipeline.generators.recipes import RECIPES
from pipeline.generators.recipes.flow.moved import wanted_of
from pipeline.generators.recipes.flow.path import mixed, wide
from pipeline.generators.recipes.flow.settings import PersonFlowSettings
from pipeline.generators.recipes.flow.speeds import Speeds
from pipeline.generators.recipes.flow.told import Told
from pipeline.generators.recipes.personflow import PersonFlow
from pipeline.generators.trained import Generator, load_generator, save_generator
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.generators.training.run import TrainingRun
from pipeline.training.data import DomainData
from tests.conftest import ToySources
from tests.pipeline.tiny_flows import (
    CAMERAS,
    SIZE,
    batch,
    context,
    networks,
    of_no_joint,
    people,
    recipe,
)
from tests.pipeline.tiny_generators import standing_poses


@pytest.mark.parametrize("changed", [{"flow_start": 0.3}, {"flow_steps": 1, "flow_start": 0.5}])
def test_a_start_between_two_steps_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="flow-start"):
        PersonFlowSettings(**changed)


def test_the_cameras_of_both_places_are_conditions() -> None:
    one = recipe(target=True)
    assert one.settings.cameras == CAMERAS
    assert one.settings.target_cameras == CAMERAS
    assert one.build_generator(SIZE).cameras.num_embeddings == 7
    assert len(one.settings.canonical_poses) == 8


def test_images_of_unknown_cameras_stand_together(tmp_path: Path) -> None:
    unknown = replace(people(6, named=False), cameras=np.array([0, 0, 2, -1, -1, 2]))
    one = PersonFlow(PersonFlowSettings(channels=8)).fitted({"source": people(), "target": unknown})
    assert one.settings.target_cameras == (0, 1, 2)
    batch = one.batches({"source": people(), "target": unknown}, SIZE, 0).batch(0, 18)
    assert set(batch["camera"].tolist()) == set(range(6))
    nothing = replace(unknown, cameras=None)
    one = PersonFlow(PersonFlowSettings(channels=8)).fitted({"source": people(), "target": nothing})
    assert one.settings.target_cameras == (0,)
    assert load_generator(saved(one, tmp_path), precision="float32").settings["target_cameras"] == [0]


class _Straight(FlowNetwork):
    """Knows the image: all its speeds lead there."""

    def __init__(self, one: PersonFlow, image: Tensor) -> None:
        super().__init__(SIZE, 3, 8)
        self.one, self.image = one, image

    def forward(self, noisy: Tensor, time: Tensor, *_: Any) -> Tensor:  # type: ignore[override]
        path = self.one._path
        return path.led_to(noisy / path.shown(wide(torch.ones_like(time)), time), time, self.image)


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
@pytest.mark.parametrize("reference", [MOVED, ITSELF, NOTHING])
def test_straight_paths_end_at_the_image_in_any_number_of_steps(steps: int, reference: int) -> None:
    one = recipe(flow_steps=steps, flow_start=0.0 if steps == 1 else 0.5)
    random = torch.Generator().manual_seed(0)
    image, source = (torch.rand(2, 3, *SIZE, generator=random) - 0.5 for _ in range(2))
    told = {"source": source, "reference": torch.full((2,), reference), "skeleton": source * 0 - 1, **of_no_joint(2)}
    told |= {"camera": torch.tensor([0, 3]), "noise": torch.randn(2, 3 * SIZE[0] * SIZE[1], generator=random)}
    wanted = image if reference == NOTHING else image - source
    made = one.generate(_Straight(one, wanted), told)
    torch.testing.assert_close(made, image, atol=1e-4, rtol=0)


@pytest.mark.parametrize("backgrounds", [0, 4])
def test_the_loss_is_that_of_the_formula(backgrounds: int) -> None:
    settings = {"drop": 0.0, "shortcut_share": 0.0, "noise_share": 0.0, "mask_weight": 2.0, "detail_weight": 3.0}
    one = recipe(**settings, backgrounds=backgrounds, background_share=1.0)
    both, images = networks(one), batch(one)
    [(player, terms)] = one.step(both, images, context())
    assert player == "network"
    # The same by hand.
    rng = context().rng
    rng.random((3, 8), dtype=np.float32)
    time = torch.sigmoid(-0.4 + torch.from_numpy(rng.standard_normal(8, dtype=np.float32)))
    rng.random(8, dtype=np.float32)
    noise = torch.from_numpy(photographic_noise(rng, 8, SIZE, one.settings.noise_slope))
    itself = (images["reference"] == ITSELF).view(-1, 1, 1, 1)
    assert itself.any()
    assert not itself.all()
    source, known = pasted(images["source"], images["mask"], images["background"]), images["known"]
    assert bool((source != images["source"]).any()) == bool((known != itself).any()) == bool(backgrounds)
    own, asked = (joints_of(images[name]) for name in ("joints", "asked_joints"))
    puppet = move_parts(source, own, asked)
    assert torch.equal(puppet.whole, ~itself.flatten()), "of all who are to be moved shoulders and hips are seen"
    begun = torch.where(itself, source, puppet.image)
    image = torch.where(itself, images["target"], wanted_of(images["target"], images["mask"], puppet)) - begun
    noisy = mixed(time, image, noise)
    network = both["network"]
    assert isinstance(network, FlowNetwork)
    numbers = torch.zeros(8, dtype=torch.int64), begun, images["reference"], images["skeleton"]
    found = network(one._path.shown(noisy, time), time, *numbers, images["camera"], network.look(source))
    wanted = one._path.wanted(time, image, noise)
    error, weight = found - wanted, 1 + 2 * images["mask"]
    expected = torch.zeros(())
    for row in range(8):
        kept = float(itself[row])
        size, detail = (torch.square, 3.0) if kept else (lambda e: (e.square() + 0.0025).sqrt() - 0.05, 3.0**0.5)
        sure = weight[row] * (known[row] if kept else 1.0)
        down, right = error[row].diff(dim=1), error[row].diff(dim=2)
        expected = expected + (weight[row] * size(error[row])).mean()
        expected = (
            expected + detail * (sure[:, 1:] * size(down)).mean() + detail * (sure[:, :, 1:] * size(right)).mean()
        )
    torch.testing.assert_close(terms["flow"], expected / 8, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("itself_share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("lacking", ["a second image", "hips"])
def test_where_nobody_shows_a_pose_twice_none_are_learned(itself_share: float, lacking: str) -> None:
    data = people()
    assert data.keypoints is not None
    hipless = data.keypoints.copy()
    hipless[1:, 11:13, 2] = 0
    named = replace(data, keypoints=hipless) if lacking == "hips" else replace(data, identities=np.arange(12))
    one = recipe(itself_share=itself_share)
    if itself_share == 1:
        assert one.batches({"source": named}, SIZE, 3).batch(0, 4)["reference"].tolist() == 4 * [ITSELF]
        return
    with pytest.raises(UserError, match=r"^no two images of --source show shoulders and hips.*--itself-share 1"):
        one.batches({"source": named}, SIZE, 3)


def test_a_pose_is_asked_for_with_the_joints_of_both(tmp_path: Path) -> None:
    generator = load_generator(saved(recipe(), tmp_path), precision="float32")
    posed = columns(2) | {"skeleton": np.zeros((2, *SIZE, 3), np.uint8)}
    with pytest.raises(ValueError, match="reads the columns"):
        generator.generate(posed)


def test_a_long_step_learns_to_go_as_far_as_two_of_its_halves() -> None:
    one = recipe()
    average = networks(one)["average"]
    assert isinstance(average, FlowNetwork)
    images = batch(one, 2)
    told = _told_of(images)
    noisy = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    time, span, length = torch.tensor([0.0, 0.5]), torch.tensor([4, 2]), torch.tensor([1.0, 0.25])
    with torch.no_grad():
        speeds = Speeds.of(average, one._path, told)
        wanted = speeds.two_steps(noisy, time, span)
        half = length.view(-1, 1, 1, 1) / 2
        middle = noisy + half * speeds.speed(noisy, time, span - 1)
        end = middle + half * speeds.speed(middle, time + length / 2, span - 1)
        speed = one._path.speed(noisy, time, wanted)
    torch.testing.assert_close(noisy + 2 * half * speed, end, atol=1e-4, rtol=1e-4)


def _told_of(images: dict[str, Tensor]) -> Told:
    return Told.of(images["source"], images["source"], images)


def test_conditions_are_left_out_as_if_they_were_never_told() -> None:
    one = recipe()
    told = _told_of(batch(one, 3))
    left_out = torch.tensor([[True, False, False], [False, True, False], [False, False, True]])
    without = told.without(left_out, 3)
    assert without.reference[0] == NOTHING
    assert without.source[0].abs().max() == 0
    assert (without.skeleton[1] == -1).all()
    assert without.camera.tolist()[2] == 3
    torch.testing.assert_close(without.source[1:], told.source[1:])


@pytest.mark.parametrize("changed", ["source", "reference", "skeleton", "camera", "noise"])
def test_each_condition_is_heard(changed: str) -> None:
    one = recipe(flow_steps=1)
    network = networks(one)["average"]
    told = {**batch(one, 2), "reference": torch.full((2,), MOVED)}
    told["noise"] = torch.zeros(2, 3 * SIZE[0] * SIZE[1])
    other = dict(told)
    other[changed] = {
        "source": -told["source"],
        "reference": torch.full((2,), NOTHING),
        "skeleton": torch.rand_like(told["skeleton"]),
        "camera": (told["camera"] + 1) % 3,
        "noise": torch.ones(2, 3 * SIZE[0] * SIZE[1]),
    }[changed]
    with torch.no_grad():
        first, second = (one.generate(network, columns) for columns in (told, other))
    assert (first - second).abs().mean() > 1e-3


def test_a_changed_image_has_little_of_the_noise() -> None:
    told = {**batch(recipe(), 2), "reference": torch.full((2,), ITSELF)}
    spread = []
    for share in (0.0, 0.25, 1.0):
        one = recipe(flow_steps=1, place_noise=share)
        noises = (torch.randn(2, 3 * SIZE[0] * SIZE[1], generator=torch.Generator().manual_seed(k)) for k in (0, 1))
        with torch.no_grad():
            first, second = (one.generate(networks(one)["average"], {**told, "noise": noise}) for noise in noises)
        spread.append(float((first - second).abs().mean()))
    assert spread[0] == 0 < spread[1] < spread[2]


def saved(one: PersonFlow, folder: Path) -> Path:
    save_generator(folder / "generator.safetensors", networks(one)["average"], one, *SIZE)
    return folder


def columns(rows: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "source": rng.integers(0, 256, (rows, *SIZE, 3), dtype=np.uint8),
        "camera": np.arange(rows) % 3,
        "seed": np.arange(rows) + 10,
    }


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kinds", [[ITSELF], [MOVED], [ITSELF, MOVED, NOTHING, ITSELF, ITSELF, ITSELF, MOVED]])
def test_rows_do_not_depend_on_their_batch(kinds: list[int], precision: Precision, tmp_path: Path) -> None:
    """Nor on whether somebody else in it is moved."""
    generator = load_generator(saved(recipe(), tmp_path), batch_size=4, precision=precision)
    poses = np.array(standing_poses(8)) * (SIZE[1], SIZE[0])
    joints = as_joints(np.dstack([poses, np.ones((8, 17))]).astype(np.float32))
    whole = columns(7) | {"joints": joints[:7], "asked_joints": joints[1:], "reference": np.resize(kinds, 7)}
    whole["skeleton"] = np.zeros((7, *SIZE, 3), np.uint8)
    together = generator.generate(whole)
    for cut in (1, 3):
        parts = [
            generator.generate({name: column[at : at + cut] for name, column in whole.items()})
            for at in range(0, 7, cut)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), together)


def test_what_is_not_said_is_completed(tmp_path: Path) -> None:
    one = recipe()
    whole = one.completed({}, 2, SIZE)
    assert whole["reference"].tolist() == [NOTHING, NOTHING]
    assert whole["camera"].tolist() == [3, 3]
    assert one.completed({"source": columns(2)["source"]}, 2, SIZE)["reference"].tolist() == [ITSELF, ITSELF]
    posed = columns(2) | {"asked_joints": np.zeros((2, 51), np.int64)}
    assert one.completed(posed, 2, SIZE)["reference"].tolist() == [MOVED, MOVED]
    elsewhere = recipe(target=True).completed({"source": columns(4)["source"]}, 4, SIZE)
    assert elsewhere["camera"].tolist() == [3, 4, 5, 3], "cameras of the other place"
    generator = load_generator(saved(one, tmp_path), precision="float32")
    made = generator.generate({"seed": np.arange(3)})
    assert made.shape == (3, *SIZE, 3)
    assert len(np.unique(made.reshape(3, -1), axis=0)) == 3


def test_how_many_steps_is_asked_of_a_trained_one(tmp_path: Path) -> None:
    folder = saved(recipe(), tmp_path)

    def asked(**generation: Any) -> Generator:
        return load_generator(folder, precision="float32", generation=generation)

    assert asked().settings["flow_steps"] == 4
    few, many = (asked(flow_steps=steps) for steps in (1, 8))
    assert (few.settings["flow_steps"], many.settings["flow_steps"]) == (1, 8)
    assert (few.generate(columns(2)) != many.generate(columns(2))).any()
    assert (few.generate(columns(2)) != asked(flow_steps=1, guidance=2.0).generate(columns(2))).any()
    with pytest.raises(
        UserError, match=r"^--flow-start 0.3 is no multiple of 1/4, the length of a step: see --flow-steps$"
    ):
        asked(flow_start=0.3)


@pytest.mark.parametrize("size", [(36, 20), (64, 32)])
def test_any_size_that_four_divides(size: tuple[int, int], tmp_path: Path) -> None:
    generator = load_generator(saved(recipe(), tmp_path), precision="float32")
    images = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    assert generator.generate({"source": images}).shape == (1, *size, 3)


def trained(folder: Path, stop: bool, one: PersonFlow, data: dict[str, DomainData]) -> dict[str, Tensor]:
    settings = TrainingSettings(steps=4, batch_size=4, height=32, width=16, precision="float32", checkpoint_every=2)
    if stop:
        trained(folder, False, one, data)
        (folder / "checkpoints" / "step_000000004.pt").unlink()
    training = Training(one, one.batches(data, SIZE, 1), folder, settings)
    training.run()
    return {name: tensor.clone() for name, tensor in training.networks.state_dict().items()}


def test_taken_up_again_it_ends_the_same(tmp_path: Path) -> None:
    data = {"source": people(), "target": people(6, named=False)}
    whole, resumed = (trained(tmp_path / str(stop), stop, recipe(target=True), data) for stop in (False, True))
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    assert any((whole[f"network.{name}"] != whole[f"average.{name}"]).any() for name in ("to_image.bias",))


@pytest.mark.parametrize(("rows", "counts"), [(1, [0, 0, 0, 1] * 2), (8, [2] * 8), (6, [1, 2] * 4)])
def test_a_share_of_the_rows_learns_longer_steps_whatever_the_batch(
    rows: int, counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, seen = recipe(shortcut_share=0.25), list[int]()
    both = networks(one)

    def counted(_: Speeds, noisy: Tensor, *__: Tensor) -> Tensor:
        seen[-1] = len(noisy)
        return torch.zeros_like(noisy)

    monkeypatch.setattr(Speeds, "two_steps", counted)
    images = batch(one, rows)
    for step in range(8):
        seen.append(0)
        [(_, terms)] = one.step(both, images, context(step))
        assert ("shortcut" in terms) == (seen[-1] > 0)
    assert seen == counts


@pytest.mark.parametrize("reference", [MOVED, ITSELF])
def test_guidance_leads_away_from_what_is_untold(reference: int) -> None:
    told = {**batch(recipe(), 2), "reference": torch.full((2,), reference)}
    told["noise"] = torch.zeros(2, 3 * SIZE[0] * SIZE[1])
    left_out = {**told, "skeleton": torch.full_like(told["skeleton"], -1.0), "camera": torch.full((2,), 3)}
    with torch.no_grad():
        one, guided = (recipe(flow_steps=1, guidance=weight) for weight in (1.0, 2.5))
        network = networks(one)["average"]
        plain, free, led = (
            way.generate(network, asked) for way, asked in ((one, told), (one, left_out), (guided, told))
        )
    torch.testing.assert_close(led, free + 2.5 * (plain - free), atol=1e-4, rtol=1e-4)


def test_the_average_follows() -> None:
    one = recipe(teacher_decay=0.5)
    both = networks(one)
    before = both["average"].state_dict()["to_image.bias"].clone()
    for _ in one.step(both, batch(one), context(step=100)):
        pass
    after, now = (both[name].state_dict()["to_image.bias"] for name in ("average", "network"))
    torch.testing.assert_close(after, (before + now) / 2)


def test_at_the_start_a_network_adds_nothing() -> None:
    network = start(FlowNetwork(SIZE, 3, 8), torch.Generator().manual_seed(0))
    images, numbers = torch.rand(2, 3, *SIZE), torch.zeros(2, dtype=torch.int64)
    told = torch.zeros(2), numbers, images, numbers, images, numbers
    assert network(images, *told, network.look(images)).abs().max() == 0


def test_no_setting_of_a_recipe_has_the_name_of_one_of_the_trainings() -> None:
    """Both are flags of one command line."""
    for name, model in RECIPES.items():
        assert not set(model.settings_model.model_fields) & set(TrainingSettings.model_fields), name


def changed_by(generator: Generator, person: bool, **asked: Any) -> NDArray[np.float64]:
    """(H, W): by how much what is made differs when another background is drawn."""
    data = people(2)
    whole = columns(2) | {"source": data.images[:, 2:34, 1:17], "reference": np.full(2, ITSELF)} | asked
    whole["noise"] = np.zeros((2, 3 * SIZE[0] * SIZE[1]), np.float32)
    if person:
        whole["person"] = np.broadcast_to(np.arange(16) >= 8, (2, *SIZE)).copy()
    first, second = (generator.generate({**whole, "seed": whole["seed"] + turn}) for turn in (0, 1))
    return np.abs(first.astype(float) - second).mean(axis=(0, 3))


def test_people_whose_mask_is_known_stand_before_a_background_of_the_camera(tmp_path: Path) -> None:
    one = recipe(target=True, backgrounds=4, flow_steps=1)
    assert one.pastes(elsewhere=False)
    assert not one.pastes(elsewhere=True)
    assert one.settings.background_counts == (4, 4, 4, 0, 0, 0)
    with torch.no_grad():
        silent = one.build(torch.Generator().manual_seed(1), SIZE)["average"]  # says that nothing changes
    save_generator(tmp_path / "generator.safetensors", silent, one, *SIZE)

    def loaded(**generation: Any) -> Generator:
        return load_generator(tmp_path, precision="float32", generation=generation)

    differs = changed_by(loaded(), person=True)
    assert differs[:, :7].mean() > 5, "beside the person the seed says what is seen"
    assert differs[:, 9:].max() == 0
    for nothing in (
        changed_by(loaded(), person=False),
        changed_by(loaded(background="own"), person=True),
        changed_by(loaded(), person=True, reference=np.full(2, MOVED)),
        changed_by(loaded(), person=True, camera=np.array([4, 4])),  # of the other place none are known
    ):
        assert nothing.max() == 0
    silent = recipe().build(torch.Generator().manual_seed(1), SIZE)["average"]
    save_generator(tmp_path / "none" / "generator.safetensors", silent, recipe(), *SIZE)
    with pytest.raises(UserError, match=r"^--background asked: this flow keeps no backgrounds"):
        load_generator(tmp_path / "none", generation={"background": "asked"})
    with pytest.raises(UserError, match=r"^--background asked: this flow keeps no backgrounds"):
        recipe(background="asked")
    assert not loaded(background="own")._recipe.pastes(elsewhere=False)


def test_weights_without_backgrounds_are_as_they_were() -> None:
    names = set(networks(recipe())["average"].state_dict())
    assert names == {
        name for name in networks(recipe(backgrounds=4))["average"].state_dict() if "background" not in name
    }
    assert not recipe().pastes(elsewhere=False)


@pytest.mark.parametrize(
    ("changed", "needs"),
    [
        ({}, {"cameras", "masks", "identities", "keypoints"}),
        ({"itself_share": 1.0}, {"cameras", "masks"}),
        ({"mask_weight": 0.0, "itself_share": 1.0}, {"cameras", "masks"}),  # backgrounds are made by them
        ({"mask_weight": 0.0, "backgrounds": 0}, {"cameras", "identities", "keypoints"}),
        ({"mask_weight": 0.0, "backgrounds": 0, "itself_share": 1.0}, {"cameras"}),
    ],
)
def test_only_what_the_settings_use_is_needed(changed: dict[str, Any], needs: set[str]) -> None:
    one = PersonFlow(PersonFlowSettings(**changed))
    assert one.needs == one.needs_of("source", annotated=False) == needs
    assert one.needs_of("target", annotated=True) == needs & {"masks"}


def test_what_is_not_read_need_not_be_there(tmp_path: Path, toy_sources: ToySources) -> None:
    asked = PersonFlowSettings(channels=8, mask_weight=0, backgrounds=0, itself_share=1.0)
    told = {"source": people(), "target": people(6)}
    bare = {role: DomainData(part.images, cameras=part.cameras) for role, part in told.items()}
    weights = [
        trained(tmp_path / str(at), False, PersonFlow(asked).fitted(data), data) for at, data in enumerate((told, bare))
    ]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
    sizes = TrainingSettings(steps=1, batch_size=2, height=32, width=16, precision="float32")
    TrainingRun(PersonFlow(asked), sizes, tmp_path / "run", {"source": (toy_sources.market, None)}, images=6).train()
    settings = load_generator(tmp_path / "run").settings
    assert (settings["canonical_poses"], settings["background_counts"]) == ([], [])


def test_of_another_place_masks_are_used_where_they_are_given() -> None:
    one = PersonFlow(PersonFlowSettings(channels=8, backgrounds=2))
    assert one.needs_of("target", annotated=False) == frozenset()
    assert one.needs_of("target", annotated=True) == {"masks"}
    fitted = one.fitted({"source": people(), "target": people(6)})
    assert fitted.settings.background_counts == (2, 2, 2, 2, 2, 2)
    assert fitted.pastes(elsewhere=True)
    network = fitted.build(torch.Generator().manual_seed(1), SIZE)["average"]
    assert isinstance(network, FlowNetwork)
    assert network.backgrounds is not None
    brightness = network.backgrounds.images.float().mean(dim=(1, 2, 3)).view(2, 3, 2)
    assert (brightness.diff(dim=1) > 50).all(), "each camera's own, place by place"
