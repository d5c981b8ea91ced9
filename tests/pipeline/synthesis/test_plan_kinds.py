"""What each kind asks for: every combination once, nothing that makes no sense, the same for the same inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby, product
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.schema import ANY_RECIPES
from manifests.reading.dataset import open_dataset
from pipeline.annotation.annotated_images import AnnotatedImages
from pipeline.generators.recipes import RECIPES, find_recipe
from pipeline.generators.trained_set import SINGLE, GeneratorSet, Member, pair_name
from pipeline.synthesis.people import People, Person, select_people
from pipeline.synthesis.plan_kinds import (
    CAMERAS,
    KINDS,
    PEOPLE,
    TRANSLATION,
    CameraSettings,
    PeopleSettings,
    PlanInputs,
    PoseSettings,
    TranslationSettings,
    _drawn,
    camera_styles,
    check_kind,
    kind_of,
    other_poses,
    random_people,
)
from pipeline.synthesis.samples import Sample
from tests.conftest import ToySources
from tests.pipeline.tiny_generators import standing_poses

ONE = {SINGLE: Member("there", "c" * 64)}


def generators(
    recipe: str, cameras: tuple[int, ...] = (), members: dict[str, Member] = ONE, **settings: object
) -> GeneratorSet:
    model = find_recipe(recipe)
    return GeneratorSet("runs/g", model(model.settings_model.model_validate(settings)), 64, 32, members, cameras)


def people(count: int, cameras: int = 3) -> People:
    return People.of(
        [Person(f"{n:032x}", f"{n:064x}", f"{n % 4:04d}", n % cameras + 1, "train", "set", 0, n) for n in range(count)]
    )


class NoSevenths:
    """Annotations of all images but each seventh."""

    def holding(self, digests: Any, *_: str) -> NDArray[np.bool_]:
        return np.arange(len(digests)) % 7 > 0


def pairs(*cameras: int) -> dict[str, Member]:
    names = [pair_name(a, b) for a, b in product(cameras, cameras) if a != b]
    return {name: Member(name, f"{number:064x}") for number, name in enumerate(names)}


def test_every_image_goes_into_every_other_camera() -> None:
    inputs = PlanInputs("a", people(10), generators("camstyle", (1, 2, 3), pairs(1, 2, 3)))
    samples = list(camera_styles(inputs, CameraSettings()))
    assert len(samples) == 10 * 2
    for sample in samples:
        assert sample.content is not None
        assert sample.target_camera is not None
        assert sample.target_camera != sample.content.camera
        assert sample.generator == f"{sample.content.camera}->{sample.target_camera}"
    assert len({(sample.content, sample.target_camera) for sample in samples}) == 20


def test_only_the_cameras_that_are_named() -> None:
    inputs = PlanInputs("a", people(9), generators("camstyle_multidomain", (1, 2, 3)))
    samples = list(camera_styles(inputs, CameraSettings(cameras=[3, 1], per_image=2)))
    assert Counter(sample.target_camera for sample in samples) == {1: 12, 3: 12}
    assert {sample.generator for sample in samples} == {SINGLE}


def test_cameras_that_no_generator_knows_are_refused() -> None:
    known = generators("camstyle", (1, 2, 3), pairs(1, 2, 3))
    with pytest.raises(UserError, match="not trained for camera 9; it knows 1, 2, 3"):
        list(camera_styles(PlanInputs("a", people(3), known), CameraSettings(cameras=[9])))
    four = PlanInputs("a", people(8, cameras=4), known)
    with pytest.raises(UserError, match="no generator for cameras 4->1"):
        list(camera_styles(four, CameraSettings(source_cameras=[1, 4])))
    read = list(camera_styles(four, CameraSettings()))
    assert Counter(sample.content.camera for sample in read if sample.content) == {1: 4, 2: 4, 3: 4}
    one_way = {pair_name(2, 1): Member("a", "b" * 64)}
    paired = PlanInputs("a", people(8, cameras=4), generators("pix2pix_cameras", (1,), one_way))
    assert [sample.content and sample.content.camera for sample in camera_styles(paired, CameraSettings())] == [2, 2]
    assert len(list(camera_styles(four, CameraSettings(source_cameras=[1, 2])))) == 4 * 2
    nowhere = People.of([Person("i", "d", "0001", None, "train", "set", 0, 0)])
    with pytest.raises(UserError, match="no camera"):
        list(camera_styles(PlanInputs("a", nowhere, known), CameraSettings()))


def test_every_image_in_every_canonical_pose() -> None:
    known = generators("pngan", canonical_poses=standing_poses())
    samples = list(other_poses(PlanInputs("a", people(5), known), PoseSettings(limit=3)))
    assert Counter(sample.pose_class for sample in samples) == dict.fromkeys(range(8), 3)
    with pytest.raises(UserError, match="no canonical poses"):
        list(other_poses(PlanInputs("a", people(5), generators("pngan")), PoseSettings(poses="canonical")))


@pytest.fixture
def posed(toy_sources: ToySources, toy_annotations: str) -> PlanInputs:
    found = select_people(open_dataset(toy_sources.market), ["train"])
    annotations = AnnotatedImages(open_dataset(toy_annotations))
    return PlanInputs(toy_sources.market, found, generators("pngan"), annotations)


def test_poses_are_drawn_from_other_people(posed: PlanInputs) -> None:
    samples = list(other_poses(posed, PoseSettings(poses="data", poses_per_image=5)))
    assert len(samples) == 5 * len(posed.people)
    assert len({(sample.content, sample.pose_of) for sample in samples}) == len(samples)
    assert all(one.content and one.pose_of and one.content.identity != one.pose_of.identity for one in samples)
    assert len({sample.pose_of for sample in samples}) > len(posed.people) / 2
    fewer = list(other_poses(posed, PoseSettings(poses="data", poses_per_image=3)))
    assert set(fewer) < set(samples)
    assert set(other_poses(posed, PoseSettings(poses="data", poses_per_image=3, seed=1))) != set(fewer)


def test_own_poses_come_last_and_too_many_are_refused(posed: PlanInputs) -> None:
    whole = len(posed.people) - 1
    person = posed.people[0]
    drawn = [one.pose_of for one in other_poses(posed, PoseSettings(poses="data", poses_per_image=whole, limit=1))]
    assert set(drawn) == set(posed.people[1:])
    own = [one is not None and one.identity == person.identity for one in drawn]
    assert own == sorted(own)
    with pytest.raises(UserError, match=f"{whole} other poses"):
        list(other_poses(posed, PoseSettings(poses="data", poses_per_image=whole + 1)))


def test_all_known_poses_of_others_come_before_ones_own() -> None:
    inputs = PlanInputs("a", people(100), generators("pngan"), cast(AnnotatedImages, NoSevenths()))
    known = {one for place, one in enumerate(inputs.people) if place % 7}
    few, all_others = (
        [list(group) for group in _by_content(other_poses(inputs, PoseSettings(poses="data", poses_per_image=wanted)))]
        for wanted in (5, len(known) - 1)
    )
    for person, first, drawn in zip(inputs.people, few, all_others, strict=True):
        others = {one for one in known if one.identity != person.identity}
        assert set(drawn[: len(others)]) == others
        own = known - others - {person}
        assert set(drawn[len(others) :]) <= own
        assert len(set(drawn)) == len(drawn) == len(known) - 1
        assert drawn[:5] == first, "fewer poses are the first of more"


def _by_content(samples: Iterable[Sample]) -> Iterator[Iterator[Person | None]]:
    for _, group in groupby(samples, key=lambda one: one.content):
        yield (one.pose_of for one in group)


def test_any_order_of_the_first_is_as_likely() -> None:
    rng = np.random.default_rng(0)
    times = Counter(tuple(_drawn(rng, 5, 3).tolist()) for _ in range(6000))
    assert len(times) == 60
    assert min(times.values()) > 60  # 100 are expected, with a deviation of 10


def test_conditions_are_dealt_evenly() -> None:
    samples = list(random_people(PlanInputs("a", people(0), generators("cgan", (2, 5, 6))), PeopleSettings(images=100)))
    assert Counter(sample.target_camera for sample in samples) == {2: 34, 5: 33, 6: 33}
    assert [sample.draw for sample in samples] == list(range(100))
    nobody = list(random_people(PlanInputs("a", people(0), generators("gan_lsro")), PeopleSettings(images=7)))
    assert len(nobody) == 7
    assert all((one.content, one.target_camera, one.pose_class) == (None, None, None) for one in nobody)


def test_every_recipe_has_one_job_or_all() -> None:
    jobs = Counter(name for kind in KINDS for name in kind.recipes)
    assert jobs == {name: len(KINDS) if name in ANY_RECIPES else 1 for name in RECIPES}
    for kind in KINDS:
        assert kind_of(kind.settings()) is kind


def test_a_generator_of_another_kind_names_its_job() -> None:
    with pytest.raises(UserError, match=r"runs/g is a gan_lsro generator.*run jobs/synthesize_random_people.py"):
        check_kind(generators("gan_lsro"), TRANSLATION)
    with pytest.raises(UserError, match=r"name the folder that holds camstyle.json"):
        check_kind(generators("camstyle"), CAMERAS)
    check_kind(generators("gan_lsro"), PEOPLE)


def test_what_selects_rows_does_not_decide_them() -> None:
    assert CameraSettings(cameras=[1], limit=2, per_image=3).deciding() == CameraSettings().deciding()
    assert PeopleSettings(images=5, teacher="here").deciding() == PeopleSettings().deciding()
    assert TranslationSettings(label_epsilon=0.2).deciding() != TranslationSettings().deciding()
