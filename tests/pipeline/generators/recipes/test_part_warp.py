"""People moved limb by limb: where the parts come to lie, and through a weights file, a plan and rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from manifests.errors import UserError
from pipeline.cluster.synthesize import prepare_synthesis
from pipeline.common.skeletons import as_joints
from pipeline.generators.puppets import move_parts, without_people
from pipeline.generators.recipes.part_warp import PartWarp
from pipeline.generators.trained import load_generator
from pipeline.generators.training.loop import TrainingSettings
from pipeline.generators.training.run import TrainingRun
from pipeline.synthesis.plan_kinds import PoseSettings
from pipeline.synthesis.remaking import remake
from tests.conftest import ToySources
from tests.pipeline.edited_sets import Rows, edited
from tests.pipeline.tiny_synthesis import CUT, made, pixels

SIZE = 64, 32
LEFT_ARM, RIGHT_ARM = (7, 9), (8, 10)
GREY, RED, BLUE = (0.0, 0.0, 0.0), (1.0, -1.0, -1.0), (-1.0, -1.0, 1.0)


def standing() -> NDArray[np.float32]:
    """Somebody seen from the front, arms straight down, (17, 3)."""
    places = [(16, 8), (17, 7), (15, 7), (18, 8), (14, 8), (22, 16), (10, 16), (25, 24), (7, 24), (26, 31), (6, 31)]
    places += [(19, 34), (13, 34), (19, 46), (13, 46), (19, 57), (13, 57)]
    return np.array([(*place, 1.0) for place in places], np.float32)


def arms_out() -> NDArray[np.float32]:
    pose = standing()
    pose[[7, 9], :2] = (27, 14), (30, 10)
    return pose


def batch(*poses: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.stack(poses))


def painted(*spots: tuple[float, float, tuple[float, float, float]]) -> Tensor:
    """A grey image (1, 3, H, W) with squares of 5 pixels around x, y."""
    image = torch.zeros(1, 3, *SIZE)
    for x, y, colour in spots:
        image[0, :, int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = torch.tensor(colour)[:, None, None]
    return image


def test_an_arm_goes_where_it_is_asked_for() -> None:
    elbow, raised = (25, 24), (27, 14)
    image = painted((*elbow, RED))
    made = move_parts(image, batch(standing()), batch(arms_out())).image[0]
    assert made[:, raised[1], raised[0]].tolist() == pytest.approx(RED, abs=0.35)
    assert made[0, 27:, 23:].max() < 0.3, "nothing is left where it was"


def test_who_is_asked_for_their_own_pose_stays() -> None:
    image = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    made = move_parts(image, batch(standing()), batch(standing())).image
    for x, y in ((16, 25), (25, 24), (19, 40), (16, 9)):
        torch.testing.assert_close(made[..., y, x], image[..., y, x], atol=1e-4, rtol=0)


def test_the_other_side_stands_in_for_what_is_not_seen() -> None:
    hidden = standing()
    hidden[list(LEFT_ARM), 2] = 0.0
    image = painted((7, 24, BLUE), (25, 24, RED))
    made = move_parts(image, batch(hidden), batch(arms_out())).image[0]
    assert made[:, 14, 27].tolist() == pytest.approx(BLUE, abs=0.35)
    hidden[list(RIGHT_ARM), 2] = 0.0
    neither = move_parts(image, batch(hidden), batch(arms_out())).image[0]
    assert neither[:, 14, 29].tolist() == pytest.approx(GREY, abs=0.2), "no arm is made up"


def test_a_head_seen_from_behind_is_over_the_shoulders() -> None:
    behind = standing()
    behind[:5, 2] = 0.0
    image = painted((16, 10, RED))
    made = move_parts(image, batch(behind), batch(behind)).image[0]
    assert made[:, 10, 16].tolist() == pytest.approx(RED, abs=1e-3)


@pytest.mark.parametrize("lost", [(5, 6), (11, 12), (6,)])
def test_without_shoulders_and_hips_an_image_stays(lost: tuple[int, ...]) -> None:
    cut_off = standing()
    cut_off[list(lost), 2] = 0.0
    image = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    puppet = move_parts(image, batch(cut_off, standing()), batch(standing(), cut_off))
    assert torch.equal(puppet.image, image)
    assert torch.equal(puppet.background, image)
    assert not puppet.whole.any()


def test_what_a_person_hid_is_filled_from_around() -> None:
    image = torch.linspace(-1, 1, SIZE[1]).expand(1, 3, *SIZE).clone()
    covered = torch.zeros(1, 1, *SIZE)
    covered[..., 20:40, 10:22] = 1
    hidden = torch.where(covered > 0, torch.full_like(image, 9.0), image)
    torch.testing.assert_close(without_people(hidden, covered), image, atol=0.25, rtol=0)
    assert torch.equal(without_people(image, covered * 0), image)
    covered[..., :32, :] = 1
    flat = torch.full_like(image, 0.8)
    torch.testing.assert_close(without_people(flat, covered), flat, msg="half of an image is hidden")


def test_joints_survive_the_way_to_a_generator() -> None:
    pose = standing()[None] + 0.25
    assert (as_joints(pose).reshape(1, 17, 3) / 256 == pose).all()
    pose[0, 3], pose[0, 4] = np.nan, (1e20, -1e20, 1)
    assert as_joints(pose).reshape(17, 3)[3:5].tolist() == [[0, 0, 0], [2_560_000, -2_560_000, 256]]


@pytest.fixture(scope="module")
def warp(toy_sources: ToySources, toy_annotations: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("part-warp")
    manifests = {"source": (toy_sources.market, toy_annotations)}
    TrainingRun(PartWarp(), TrainingSettings(steps=1, height=64, width=32), folder, manifests).train()
    return folder


@pytest.fixture(scope="module")
def whole(toy_annotations: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Poses of which every joint is seen."""

    def see(rows: Rows) -> None:
        for row in rows:
            row["keypoints"] = [{**point, "score": 1.0} for point in row["keypoints"] or ()] or None

    return edited(toy_annotations, tmp_path_factory.mktemp("whole") / "annotations", see)


def test_a_row_depends_on_that_row_alone(warp: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), np.uint8)
    own, asked = np.stack([standing()] * 5), np.stack([arms_out(), standing()] * 3)[:5]
    columns = {"source": images, "joints": as_joints(own), "asked_joints": as_joints(asked)}
    first, second = (load_generator(warp, batch_size=size).generate(columns) for size in (5, 2))
    assert (first == second).all()


@pytest.mark.parametrize("poses", ["canonical", "data"])
def test_rows_hold_people_in_other_poses(
    warp: Path, toy_sources: ToySources, whole: str, tmp_path: Path, poses: str
) -> None:
    settings = PoseSettings.model_validate({**CUT, "limit": 3, "poses": poses, "poses_per_image": 2})
    sets = [
        made(
            prepare_synthesis(
                toy_sources.market,
                None,
                str(warp),
                settings.model_copy(update={"shard_size": size}),
                annotations_uri=whole,
            ),
            tmp_path / str(size),
        )
        for size in (5, 3)
    ]
    assert pixels(sets[0]) == pixels(sets[1])
    assert sets[0].snapshot.rows == 3 * (8 if poses == "canonical" else 2)
    assert len(set(pixels(sets[0]).values())) > sets[0].snapshot.rows // 2
    names = sorted(pixels(sets[0]))[::-3]
    assert {one.outcome for one in remake(sets[0], names)} == {"identical"}


def test_images_of_any_size_are_those_of_a_training_with_it(
    warp: Path, toy_sources: ToySources, toy_annotations: str, whole: str, tmp_path: Path
) -> None:
    larger = {"height": 2 * SIZE[0], "width": 2 * SIZE[1]}
    manifests = {"source": (toy_sources.market, toy_annotations)}
    TrainingRun(PartWarp(), TrainingSettings(steps=1, **larger), tmp_path / "trained", manifests).train()
    settings = PoseSettings.model_validate({**CUT, **larger, "limit": 2, "poses": "data", "poses_per_image": 2})
    found = []
    for number, generator in enumerate((warp, tmp_path / "trained")):
        job = prepare_synthesis(toy_sources.market, None, str(generator), settings, annotations_uri=whole)
        rows = made(job, tmp_path / str(number)).read(["height", "sources", "pixel_sha256"]).to_pylist()
        found.append({tuple(one["sha256"] for one in row["sources"]): row["pixel_sha256"] for row in rows})
        assert {row["height"] for row in rows} == {larger["height"]}
    assert found[0] == found[1]
    assert len(found[0]) == 4


def test_poses_are_asked_for(warp: Path, toy_sources: ToySources) -> None:
    settings = PoseSettings.model_validate({**CUT, "limit": 2})
    with pytest.raises(UserError, match=r"moves people joint by joint: name their poses with --annotations$"):
        prepare_synthesis(toy_sources.market, None, str(warp), settings, annotations_uri=None)


def test_whose_pose_is_unknown_is_left_out(
    warp: Path, toy_sources: ToySources, toy_annotations: str, tmp_path: Path
) -> None:
    settings = PoseSettings.model_validate(CUT)
    every = prepare_synthesis(toy_sources.market, None, str(warp), settings, annotations_uri=toy_annotations)
    unseen = every.plan.shards[0].table().column("image_sha256")[0].as_py()

    def forget(rows: Rows) -> None:
        next(row for row in rows if row["image_sha256"] == unseen)["keypoints"] = None

    partly = edited(toy_annotations, tmp_path / "annotations", forget)
    fewer = prepare_synthesis(toy_sources.market, None, str(warp), settings, annotations_uri=partly)
    assert every.plan.num_rows - fewer.plan.num_rows == 8
    planned = [part.table().column("image_sha256").to_pylist() for part in fewer.plan.shards.values()]
    assert unseen not in {digest for part in planned for digest in part}


def test_who_cannot_be_moved_is_rejected(warp: Path, toy_sources: ToySources, whole: str, tmp_path: Path) -> None:
    """The row would be its source under another pose's name."""

    def hide(rows: Rows) -> None:
        for row in rows:
            row["keypoints"][5]["score"] = 0.0

    hidden = edited(whole, tmp_path / "annotations", hide)
    settings = PoseSettings.model_validate({**CUT, "limit": 1})
    job = prepare_synthesis(toy_sources.market, None, str(warp), settings, annotations_uri=hidden)
    dataset = made(job, tmp_path / "set", rejected=8)
    reasons = dataset.run["counts"]["reasons"]
    assert reasons == {"bad_annotation": 8}
