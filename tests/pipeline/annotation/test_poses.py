"""Poses: mmpose beside mmcv-lite, models by name and by file, results in pixels of each crop, the shipped model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifests.errors import UserError
from pipeline.annotation.poses import (
    BATCH,
    PoseEstimator,
    build_model,
    find_config,
    letterbox,
    load_pose_estimator,
    load_weights,
    quicken,
)
from pipeline.checkpoints import CHECKPOINTS, file_sha256, load_state, resolve, save_state
from pipeline.checkpoints.table import WEIGHTS_FOLDER, read_card
from pipeline.common.keypoints import COCO_MIRROR

RgbImage = np.ndarray[Any, np.dtype[np.uint8]]
LIGHT = ("rtmpose-t", "simplebaseline-res50", "hrnet-w32", "vitpose-s")


@pytest.fixture(scope="session")
def tiny() -> PoseEstimator:
    return load_pose_estimator("pose_tiny")


@pytest.fixture(scope="session")
def random_model() -> Callable[[str], torch.nn.Module]:
    """The model of a named checkpoint with random weights, the same at each call."""

    def build(name: str) -> torch.nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return build_model(find_config(CHECKPOINTS[name].config))

    return build


def crops(count: int, seed: int = 3) -> list[RgbImage]:
    rng = np.random.default_rng(seed)
    sizes = zip(rng.integers(40, 260, count), rng.integers(20, 140, count), strict=True)
    return [rng.integers(0, 256, (int(height), int(width), 3), dtype=np.uint8) for height, width in sizes]


def people(count: int, height: int = 128, width: int = 64) -> Any:
    from pipeline.annotation.shipped.pose_evaluation import draw_test_crops

    return draw_test_crops(count, seed=777, height=height, width=width)


def test_the_import_leaves_no_stand_in_behind() -> None:
    from pipeline.annotation.mmpose_import import import_mmpose
    from pipeline.annotation.stand_ins import _StandIn

    hooks = [type(finder).__module__ for finder in sys.meta_path]
    assert import_mmpose().__version__.startswith("1.3")
    assert [type(finder).__module__ for finder in sys.meta_path if "stand_ins" in type(finder).__module__] == []
    assert "pipeline.annotation.stand_ins" not in hooks
    assert [name for name, module in sys.modules.items() if isinstance(module, _StandIn)] == []
    with pytest.raises(ImportError):
        __import__("mmdet")


def test_without_mmpose_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"poses need mmpose.*`pip install --no-deps mmpose==1\.3\.2`"):
        load_pose_estimator("pose_tiny")


def test_a_stand_in_refuses_by_name_when_it_is_used() -> None:
    from pipeline.annotation.mmpose_import import import_mmpose

    import_mmpose()
    from mmpose.models.heads.coord_cls_heads import rtmcc_head

    with pytest.raises(RuntimeError, match=r"mmpose\.evaluation\.functional\.simcc_pck_accuracy was not expected"):
        rtmcc_head.simcc_pck_accuracy()


@pytest.mark.parametrize("name", LIGHT)
def test_a_named_configuration_builds_and_runs_without_a_download(
    name: str, random_model: Callable[[str], torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    model = random_model(name).eval()
    config = find_config(CHECKPOINTS[name].config)
    monkeypatch.setattr("pipeline.annotation.poses.BATCH", 2)
    estimator = PoseEstimator(name, "", model, config)
    found = estimator.estimate(crops(3))
    assert found.shape == (3, 17, 3)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert estimator.input_size == (256, 192)


def test_a_checkpoint_as_mmengine_writes_it_loads_by_its_official_name(
    tmp_path: Path, random_model: Callable[[str], torch.nn.Module]
) -> None:
    from mmengine.logging import HistoryBuffer

    model = random_model("rtmpose-t")
    path = tmp_path / CHECKPOINTS["rtmpose-t"].file_name
    meta = {"dataset_meta": {"joint_weights": np.ones(17, np.float32)}, "epoch": 420}
    state = {**model.state_dict(), "loss_module.left_over": torch.zeros(1)}
    torch.save({"meta": meta, "message_hub": {"loss": HistoryBuffer([1.0], [1])}, "state_dict": state}, path)
    estimator = load_pose_estimator(path)
    assert estimator.sha256 == file_sha256(path)
    quicken(model.eval(), "cpu")
    direct = PoseEstimator("direct", "", model, find_config(CHECKPOINTS["rtmpose-t"].config))
    images = crops(2)
    np.testing.assert_array_equal(estimator.estimate(images), direct.estimate(images))


def test_vitpose_takes_the_names_and_shapes_of_official_weights(
    random_model: Callable[[str], torch.nn.Module],
) -> None:
    state = random_model("vitpose-b").state_dict()
    assert state["backbone.pos_embed"].shape == (1, 192, 768)
    assert state["backbone.patch_embed.projection.weight"].shape == (768, 3, 16, 16)
    assert state["backbone.layers.11.attn.qkv.weight"].shape == (2304, 768)
    assert state["backbone.layers.11.ffn.layers.0.0.weight"].shape == (3072, 768)
    assert state["backbone.ln1.weight"].shape == (768,)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_state({"conv.weight": torch.zeros(2, 2)}, path, {"config": "configs/pose_tiny.py"})
    with pytest.raises(UserError, match="does not fit its configuration"):
        load_pose_estimator(path)


@pytest.mark.parametrize("form", ["{planted}", "../../../../../../../../../..{planted}", "configs/../..{planted}", "."])
def test_a_configuration_that_a_file_brings_along_is_not_run(form: str, tmp_path: Path) -> None:
    ran, planted = tmp_path / "ran", tmp_path / "planted.py"
    planted.write_text(f"open({str(ran)!r}, 'w')\n")
    path = tmp_path / "strange.safetensors"
    save_state({"conv.weight": torch.zeros(2, 2)}, path, {"config": form.format(planted=planted)})
    with pytest.raises(UserError, match=r"^no configuration '[^\n]*' of a pose model[^\n]*$"):
        load_pose_estimator(path)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ({"x": torch.zeros(1)}, "mine.safetensors", "does not say which configuration"),
        (None, "sam_vit_b", "not for mmpose; pose models: rtmpose-t"),
        (None, "rtmpose-x", "unknown checkpoint 'rtmpose-x'; did you mean rtmpose-"),
    ],
)
def test_mistakes_are_told(content: dict[str, torch.Tensor] | None, name: str, message: str, tmp_path: Path) -> None:
    what: str | Path = name
    if content is not None:
        what = tmp_path / name
        save_state(content, what)
    with pytest.raises(UserError, match=message):
        load_pose_estimator(what)


@pytest.mark.parametrize(("height", "width"), [(128, 64), (77, 61), (400, 90), (40, 200), (1, 1)])
def test_the_letterbox_keeps_the_aspect_and_maps_back(height: int, width: int) -> None:
    image = np.full((height, width, 3), 200, np.uint8)
    canvas, box = letterbox(image, 128, 64)
    filled = canvas.any(axis=2)
    assert canvas.shape == (128, 64, 3)
    assert filled.any(axis=1).sum() == round(height * box.scale_y)
    assert filled.any(axis=0).sum() == round(width * box.scale_x)
    assert filled.all(axis=0).any() or filled.all(axis=1).any()
    corners = np.array([[0, 0], [width, height], [width / 3, height / 2]], np.float32)
    np.testing.assert_allclose(box.to_crop(box.to_input(corners)), corners, atol=1e-3)
    np.testing.assert_allclose(box.to_input(corners)[0], [box.left, box.top])


def test_a_pose_does_not_depend_on_what_else_is_in_the_call(tiny: PoseEstimator) -> None:
    images = crops(BATCH + 3)
    together = tiny.estimate(images)
    np.testing.assert_array_equal(tiny.estimate(images[::-1])[::-1], together)
    np.testing.assert_array_equal(tiny.estimate(images[-2:]), together[-2:])
    assert tiny.estimate([]).shape == (0, 17, 3)


def test_joints_are_those_of_mmposes_own_inference(tiny: PoseEstimator) -> None:
    """The model as mmpose builds it, fed and decoded by mmpose: no norm folded in, no Winograd."""
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample

    images = [crop.image for crop in people(12)]
    model: Any = build_model(find_config(CHECKPOINTS["pose_tiny"].config)).eval()
    load_weights(model, load_state(resolve("pose_tiny")), "pose_tiny")
    where = {"input_size": (64, 128), "input_center": np.array([32, 64]), "input_scale": np.array([64, 128])}
    samples = [PoseDataSample(metainfo=where | {"flip_indices": COCO_MIRROR.tolist()}) for _ in images]
    for sample in samples:
        sample.gt_instances = InstanceData(bboxes=np.array([[0, 0, 64, 128.0]]), bbox_scores=np.ones(1))
    planar = [torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1) for image in images]
    with torch.inference_mode():
        answers = model.test_step({"inputs": planar, "data_samples": samples})
    found = tiny.estimate(images)
    for answer, own in zip(answers, found, strict=True):
        np.testing.assert_allclose(own[:, :2], answer.pred_instances.keypoints[0], atol=1e-4)
        np.testing.assert_allclose(own[:, 2], answer.pred_instances.keypoint_scores[0].clip(0, 1), atol=1e-5)


def test_a_mirrored_crop_gives_the_mirrored_pose(tiny: PoseEstimator) -> None:
    images = [crop.image for crop in people(8)]
    found = tiny.estimate(images)
    mirrored = tiny.estimate([np.ascontiguousarray(image[:, ::-1]) for image in images])[:, COCO_MIRROR]
    np.testing.assert_allclose(64 - mirrored[..., 0], found[..., 0], atol=0.51)  # by half a bin of the codec
    np.testing.assert_allclose(mirrored[..., 1:], found[..., 1:], atol=1e-3)


def test_a_larger_crop_of_another_aspect_gives_the_same_pose_in_its_own_pixels(tiny: PoseEstimator) -> None:
    import cv2

    images = [crop.image for crop in people(8)]
    larger = [cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC) for image in images]
    wider = [np.pad(image, ((0, 0), (30, 0), (0, 0))) for image in larger]
    base = tiny.estimate(images)
    found = tiny.estimate(wider)
    found[..., 0] -= 30
    apart = np.linalg.norm(found[..., :2] / 3 - base[..., :2], axis=-1)
    assert np.median(apart) < 3  # pixels of 128 x 64; the same person, a little smaller in the network's input


def test_the_shipped_model_is_as_good_as_its_card_says_on_people_of_a_world_it_never_saw(tiny: PoseEstimator) -> None:
    from pipeline.annotation.shipped.pose_evaluation import measure_toy

    card = read_card(WEIGHTS_FOLDER / "pose_tiny.json")
    metrics = measure_toy(tiny, people(80))
    assert metrics["toy_pck_0.1"] >= card.metrics["toy_pck_0.1"] - 0.04
    assert metrics["toy_pck_0.05"] >= card.metrics["toy_pck_0.05"] - 0.06
    assert metrics["toy_score_outside"] < metrics["toy_score_inside"]


def test_the_shipped_model_is_small_and_described(tiny: PoseEstimator) -> None:
    checkpoint = CHECKPOINTS["pose_tiny"]
    assert checkpoint.path is not None
    assert checkpoint.size_bytes is not None
    assert checkpoint.size_bytes < 4 << 20
    assert tiny.sha256 == checkpoint.sha256
    assert checkpoint.sha256 in checkpoint.path.with_suffix(".md").read_text("utf-8")
