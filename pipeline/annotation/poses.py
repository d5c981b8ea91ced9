"""Poses of person crops by mmpose's top-down models: batched, and the same whatever else is in the batch.

A model is a configuration (mmpose's own, or ours in ``configs/``) and a checkpoint. Pixels are counted from the
corner of the image: the centre of the first pixel lies at (0.5, 0.5). mmpose is imported when a model is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.skeleton import KEYPOINTS
from pipeline.checkpoints import CHECKPOINTS, file_sha256, load_metadata, load_state, resolve
from pipeline.common.images import RgbImage, resize
from pipeline.common.keypoints import COCO_MIRROR

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 16
"""Crops in a pass: on one core of 2 MB of second-level cache 16 are quicker than 8 or 32."""
_INSIDE = re.compile(r"configs(/[\w-][\w.-]*)+\.py")


class Letterbox(NamedTuple):
    """Where a crop lies inside the network's input: ``x_input = x_crop * scale_x + left``, the same for y."""

    scale_x: float
    scale_y: float
    left: int
    top: int

    def to_input(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(..., 2)`` x, y in pixels of the crop, as pixels of the input."""
        return points * self._scale() + np.array([self.left, self.top], np.float32)

    def to_crop(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(..., 2)`` x, y in pixels of the input, as pixels of the crop."""
        return (points - np.array([self.left, self.top], np.float32)) / self._scale()

    def _scale(self) -> NDArray[np.float32]:
        return np.array([self.scale_x, self.scale_y], np.float32)


def letterbox(image: RgbImage, height: int, width: int, padding: float = 1.0) -> tuple[RgbImage, Letterbox]:
    """The whole crop, its aspect kept (to a pixel), in the middle of a black ``(height, width, 3)`` input.

    ``padding`` is how much larger than the crop the input's frame is: 1.25 for mmpose's own models.
    """
    scale = min(height / image.shape[0], width / image.shape[1]) / padding
    inner_height = min(height, max(1, round(image.shape[0] * scale)))
    inner_width = min(width, max(1, round(image.shape[1] * scale)))
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + inner_height, left : left + inner_width] = resize(image, inner_height, inner_width)
    return canvas, Letterbox(inner_width / image.shape[1], inner_height / image.shape[0], left, top)


class PoseEstimator:
    """A top-down model of mmpose with its weights."""

    def __init__(self, name: str, sha256: str, model: nn.Module, config: Any) -> None:
        """``config`` is the ``mmengine.Config`` that ``model`` was built from."""
        self.name = name
        self.sha256 = sha256
        width, height = config.model.head.decoder.input_size
        self.input_size = int(height), int(width)
        self._model = model
        self._padding = _padding(config)
        self._test: dict[str, Any] = dict(config.model.get("test_cfg") or {})

    def estimate(self, images: Sequence[RgbImage]) -> NDArray[np.float32]:
        """Keypoints ``(N, 17, 3)`` in COCO's order: x, y in pixels of each image, score from 0 to 1.

        Images are ``(H, W, 3)`` uint8 RGB of any sizes, each one person's box. Points may lie outside of the image.
        """
        found = np.zeros((len(images), KEYPOINTS, 3), np.float32)
        for start in range(0, len(images), BATCH):
            pairs = [letterbox(image, *self.input_size, self._padding) for image in images[start : start + BATCH]]
            inputs = np.zeros((BATCH, *self.input_size, 3), np.uint8)
            inputs[: len(pairs)] = [canvas for canvas, _ in pairs]
            poses = self._decoded(inputs)
            for index, (_, box) in enumerate(pairs):
                found[start + index, :, :2] = box.to_crop(poses[index, :, :2])
                found[start + index, :, 2] = poses[index, :, 2]
        return found

    def _decoded(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Keypoints in pixels of the input: the head's own codec on the network's output."""
        import torch

        from pipeline.annotation.mmpose_import import quiet_start

        with torch.inference_mode(), quiet_start():
            batch = normalized(self._model, torch.from_numpy(inputs))
            outputs = self._model(batch, None, mode="tensor")
            if self._test.get("flip_test"):
                mirrored = self._model(batch.flip(3), None, mode="tensor")
                outputs = average_mirrored(outputs, mirrored, bool(self._test.get("shift_heatmap", False)))
        return decode_outputs(self._model, outputs)


def load_pose_estimator(name_or_path: str | Path, device: str = "cpu") -> PoseEstimator:
    """The estimator of a named checkpoint, or of a file that `jobs/train_pose_tiny.py` wrote.

    Raises:
        UserError: unknown name, not a pose model, or weights that do not fit the configuration.
    """
    named = CHECKPOINTS.get(str(name_or_path))
    if named and named.format != "mmpose":
        poses = ", ".join(name for name, one in CHECKPOINTS.items() if one.format == "mmpose")
        raise UserError(f"{named.name} is a checkpoint for {named.format}, not for mmpose; pose models: {poses}")
    path = resolve(name_or_path)
    name = named.name if named else path.stem
    config = find_config(named.config if named else _config_of(path))
    model = build_model(config)
    load_weights(model, load_state(path), f"{path} (for {name})")
    model.requires_grad_(False).eval().to(device)
    quicken(model, device)
    return PoseEstimator(name, file_sha256(path), model, config)


def find_config(relative: str | None) -> Any:
    """A configuration by its path in the table: below ``pipeline/annotation/`` or below mmpose's own ``.mim`` folder.

    Returns:
        An ``mmengine.Config``. Raises UserError if there is no such file.
    """
    from pipeline.annotation.mmpose_import import import_mmpose

    mmpose = import_mmpose()
    from mmengine.config import Config

    # A configuration is a program: what a weights file names may not lead out of the two folders.
    inside = relative and _INSIDE.fullmatch(relative)
    folders = (resources.files("pipeline.annotation"), resources.files(mmpose) / ".mim")
    for file in (folder / str(relative) for folder in folders if inside):
        if file.is_file():
            with resources.as_file(file) as path:
                return Config.fromfile(path)
    raise UserError(f"no configuration {relative!r} of a pose model, neither here nor in the installed mmpose")


def build_model(config: Any) -> nn.Module:
    """The configured estimator with random weights; nothing is downloaded, and it runs on one device."""
    from pipeline.annotation.mmpose_import import import_mmpose, quiet_start

    import_mmpose()
    from mmengine.registry import DefaultScope
    from mmpose.models import build_pose_estimator

    from pipeline.annotation import vision_transformer

    vision_transformer.register()
    with quiet_start(), DefaultScope.overwrite_default_scope("mmpose"):
        model: nn.Module = build_pose_estimator(_runnable(config.to_dict()["model"]))
    return model


def load_weights(model: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Fill ``model``, ignoring what else the file holds.

    Raises:
        UserError: a tensor is missing or of another shape.
    """
    own = model.state_dict()
    wrong = [name for name, tensor in own.items() if name not in state or state[name].shape != tensor.shape]
    if wrong:
        raise UserError(f"{what} does not fit its configuration: {len(wrong)} tensors differ, the first is {wrong[0]}")
    model.load_state_dict({name: state[name].to(tensor.dtype) for name, tensor in own.items()})


def quicken(model: nn.Module, device: str) -> None:
    """Fold norms into the convolutions before them and, on a CPU, multiply less: for inference only.

    Scores of ``pose_tiny`` change by 2e-6 at most, and of 4,352 joints of drawn people one by half a pixel: a tie.
    """
    import torch
    from mmcv.cnn.utils.fuse_conv_bn import fuse_conv_bn

    from pipeline.common.winograd import use_winograd

    fuse_conv_bn(model)
    if device == "cpu":
        use_winograd(model)
    # So that what is left of the convolutions takes any layout as channels-last, the quickest.
    model.to(memory_format=torch.channels_last).requires_grad_(False)


def normalized(model: nn.Module, inputs: Tensor) -> Tensor:
    """Uint8 ``(N, H, W, 3)`` RGB as the network takes it: float32 ``(N, 3, H, W)`` in channels-last memory."""
    import torch

    preprocessor: Any = model.data_preprocessor
    batch = inputs.to(preprocessor.mean.device).permute(0, 3, 1, 2).float()
    return ((batch - preprocessor.mean) / preprocessor.std).contiguous(memory_format=torch.channels_last)


def average_mirrored(
    outputs: Tensor | tuple[Tensor, Tensor], mirrored: Tensor | tuple[Tensor, Tensor], shift: bool
) -> Tensor | tuple[Tensor, Tensor]:
    """Mean of the outputs for crops and for their mirror images, as mmpose tests its models (``flip_test``)."""
    from mmpose.models.utils.tta import flip_heatmaps, flip_vectors

    swapped = COCO_MIRROR.tolist()
    if isinstance(outputs, tuple) and isinstance(mirrored, tuple):
        x, y = flip_vectors(*mirrored, flip_indices=swapped)
        return (outputs[0] + x) / 2, (outputs[1] + y) / 2
    return (outputs + flip_heatmaps(mirrored, flip_indices=swapped, shift_heatmap=shift)) / 2


def decode_outputs(model: nn.Module, outputs: Tensor | tuple[Tensor, Tensor]) -> NDArray[np.float32]:
    """``(N, 17, 3)`` x, y in pixels of the input and score in 0..1, by the codec of the model's head."""
    head: Any = model.head
    if isinstance(outputs, tuple):  # SimCC: its codec takes a whole batch
        points, scores = head.decoder.decode(*(part.float().cpu().numpy() for part in outputs))
    else:
        poses = head.decode(outputs.float())
        points = np.concatenate([pose.keypoints for pose in poses])
        scores = np.concatenate([pose.keypoint_scores for pose in poses])
    return np.concatenate([points, np.clip(scores, 0, 1)[..., None]], axis=-1).astype(np.float32)


def _config_of(path: Path) -> str | None:
    """The configuration of a file given by its path: named in its metadata, or known by its official name."""
    poses = {one.file_name: one for one in CHECKPOINTS.values() if one.format == "mmpose"}
    if path.name in poses:
        return poses[path.name].config
    config = load_metadata(path).get("config") if path.suffix == ".safetensors" else None
    if config is None:
        raise UserError(
            f"{path} does not say which configuration it belongs to: it must be one that jobs/train_pose_tiny.py "
            f"wrote, or bear its official file name, for example {next(iter(poses))}"
        )
    return config


def _padding(config: Any) -> float:
    """How much wider than the person's box the network expects its frame, from the configured pipeline."""
    steps = config.get("val_pipeline", ())
    return next((float(step.get("padding", 1.25)) for step in steps if step["type"] == "GetBBoxCenterScale"), 1.25)


def _runnable(model: dict[str, Any]) -> dict[str, Any]:
    """The model's configuration without downloads, training on many devices, and packages we do without."""
    backbone = dict(model["backbone"])
    for name in ("init_cfg", "_scope_"):
        backbone.pop(name, None)
    if backbone.get("norm_cfg", {}).get("type") == "SyncBN":
        backbone["norm_cfg"] = {**backbone["norm_cfg"], "type": "BN"}
    if backbone["type"] == "mmpretrain.VisionTransformer":
        from pipeline.annotation.vision_transformer import adapted

        backbone = adapted(backbone)
    return {**model, "backbone": backbone}
