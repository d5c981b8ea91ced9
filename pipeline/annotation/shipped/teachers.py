"""Pseudo-labels on real crops by three small published models that agree: masks and keypoints.

BodyPix (MobileNetV1, ONNX) and MediaPipe's pose landmark model (TFLite) give masks; both and MoveNet Lightning
(TFLite) give keypoints. Each sees the crop and its mirror image. They are teachers and judges, no part of the
pipeline: their runtimes (``onnxruntime``, ``ai-edge-litert``) are the optional dependencies ``teachers``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from pipeline.common.images import RgbImage, resize
from pipeline.common.keypoints import COCO_MIRROR

FILES = {
    "bodypix": "bodypix/MobileNetV1-x050-stride8-pads.onnx",
    "mediapipe": "mediapipe/pose_landmark_lite.tflite",
    "movenet": "movenet/movenet_single_pose_lightning_ptq.tflite",
}
# MediaPipe's 33 landmarks that are COCO keypoints, in COCO's order.
_MEDIAPIPE_COCO = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]

Chance = NDArray[np.float32]
Points = NDArray[np.float32]


class PseudoLabel(NamedTuple):
    """``mask`` (H, W) bool, ``agreement`` of the teachers' masks (IoU), ``keypoints`` (17, 3): x, y, 1 if agreed.

    ``opinions`` (3, 17, 3): x, y, score by MoveNet, MediaPipe and BodyPix, in pixels of the crop.
    """

    mask: NDArray[np.bool_]
    agreement: float
    keypoints: Points
    opinions: Points


class Teachers:
    """The three models, loaded from a folder that holds `FILES`.

    Raises:
        UserError: a file or a runtime is missing.
    """

    def __init__(self, folder: Path) -> None:
        for name, relative in FILES.items():
            if not (folder / relative).is_file():
                raise UserError(f"no weights of teacher {name} at {folder / relative}")
        try:
            import onnxruntime
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise UserError(
                f"{error.name} is not installed: .venv/bin/uv pip install ai-edge-litert onnxruntime"
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._bodypix = onnxruntime.InferenceSession(str(folder / FILES["bodypix"]), options)
        self._mediapipe = Interpreter(str(folder / FILES["mediapipe"]), num_threads=1)
        self._movenet = Interpreter(str(folder / FILES["movenet"]), num_threads=1)
        for interpreter in (self._mediapipe, self._movenet):
            interpreter.allocate_tensors()

    def label(self, image: RgbImage, spread: float = 0.08) -> PseudoLabel:
        """What the teachers agree on for one crop.

        A keypoint is agreed on if no teacher's lies further than ``spread`` of the crop's height from the mean
        and their mean score is above 0.3.
        """
        first, second = self.masks(image)
        agreement = (first > 0.5) & (second > 0.5)
        either = (first > 0.5) | (second > 0.5)
        points = np.stack([_with_mirror_points(teach, image) for teach in self._pose_teachers()])
        mean = points[:, :, :2].mean(axis=0)
        far = np.linalg.norm(points[:, :, :2] - mean, axis=2).max(axis=0)
        agreed = (far < spread * image.shape[0]) & (points[:, :, 2].mean(axis=0) > 0.3)
        keypoints = np.column_stack([mean, agreed]).astype(np.float32)
        overlap = float(agreement.sum() / max(1, either.sum()))
        return PseudoLabel((first + second) / 2 > 0.5, overlap, keypoints, points)

    def masks(self, image: RgbImage) -> tuple[Chance, Chance]:
        """Chance of being person, (H, W) in [0, 1], by MediaPipe and by BodyPix."""
        return (
            _mean_over_views(self._mediapipe_mask, image, (1.0, 1.25)),
            _mean_over_views(self._bodypix_mask, image, (257.0, 385.0)),
        )

    def _pose_teachers(self) -> tuple[Callable[[RgbImage], Points], ...]:
        return self._movenet_points, self._mediapipe_points, self._bodypix_points

    def _mediapipe_mask(self, image: RgbImage, scale: float) -> Chance:
        height, width = image.shape[:2]
        side = round(max(height, width) * scale)
        top, left = (side - height) // 2, (side - width) // 2
        square = cv2.copyMakeBorder(
            image, top, side - height - top, left, side - width - left, cv2.BORDER_CONSTANT, value=(0, 0, 0)
        )
        outputs = self._run_mediapipe(resize(np.asarray(square, np.uint8), 256, 256))
        mask = cv2.resize(_logistic(outputs["Identity_2"][0, :, :, 0]), (side, side))
        return np.asarray(mask[top : top + height, left : left + width], np.float32)

    def _bodypix_mask(self, image: RgbImage, height: float, margin: float = 0.1) -> Chance:
        rows, columns = int(image.shape[0] * margin), int(image.shape[1] * margin)
        padded = cv2.copyMakeBorder(image, rows, rows, columns, columns, cv2.BORDER_REPLICATE)
        scale = height / padded.shape[0]
        size = [round(side * scale / 8) * 8 + 1 for side in padded.shape[:2]]
        sized = resize(np.asarray(padded, np.uint8), size[0], size[1]).astype(np.float32)
        segments = self._bodypix.run(["segments"], {"input": sized[None] / 127.5 - 1})[0][0, :, :, 0]
        mask = _logistic(cv2.resize(segments, (padded.shape[1], padded.shape[0])))
        return np.asarray(mask[rows : rows + image.shape[0], columns : columns + image.shape[1]], np.float32)

    def _movenet_points(self, image: RgbImage) -> Points:
        square, affine = _square(image, 192, 1.15)
        self._movenet.set_tensor(self._movenet.get_input_details()[0]["index"], square[None])
        self._movenet.invoke()
        found = self._movenet.get_tensor(self._movenet.get_output_details()[0]["index"])[0, 0]
        return np.column_stack([_back(found[:, [1, 0]] * 192, affine), found[:, 2]]).astype(np.float32)

    def _mediapipe_points(self, image: RgbImage) -> Points:
        square, affine = _square(image, 256, 1.2)
        outputs = self._run_mediapipe(square)
        found = outputs["Identity"].reshape(39, 5)[_MEDIAPIPE_COCO]
        score = float(outputs["Identity_1"][0, 0]) * _logistic(found[:, 3])
        return np.column_stack([_back(found[:, :2], affine), score]).astype(np.float32)

    def _bodypix_points(self, image: RgbImage) -> Points:
        square, affine = _square(image, 257, 1.1)
        blob = square[None].astype(np.float32) / 127.5 - 1
        maps, offsets = self._bodypix.run(["heatmaps", "short_offsets"], {"input": blob})
        chance = _logistic(maps[0])
        points = []
        for joint in range(17):
            row, column = np.unravel_index(chance[:, :, joint].argmax(), chance.shape[:2])
            shift = offsets[0, row, column, [17 + joint, joint]]
            place = _back(np.array([[column * 8.0, row * 8.0]]) + shift, affine)[0]
            points.append([*place, chance[row, column, joint]])
        return np.array(points, dtype=np.float32)

    def _run_mediapipe(self, square: RgbImage) -> dict[str, NDArray[Any]]:
        self._mediapipe.set_tensor(
            self._mediapipe.get_input_details()[0]["index"], square[None].astype(np.float32) / 255
        )
        self._mediapipe.invoke()
        details = self._mediapipe.get_output_details()
        return {detail["name"]: self._mediapipe.get_tensor(detail["index"]) for detail in details}


def _mean_over_views(teach: Callable[[RgbImage, float], Chance], image: RgbImage, scales: tuple[float, ...]) -> Chance:
    """Mean over scales and over the crop and its mirror image."""
    mirror = np.ascontiguousarray(image[:, ::-1])
    views = [view for scale in scales for view in (teach(image, scale), teach(mirror, scale)[:, ::-1])]
    return np.asarray(np.mean(views, axis=0), np.float32)


def _with_mirror_points(teach: Callable[[RgbImage], Points], image: RgbImage) -> Points:
    mirrored = teach(np.ascontiguousarray(image[:, ::-1]))
    mirrored[:, 0] = image.shape[1] - 1 - mirrored[:, 0]
    return np.asarray((teach(image) + mirrored[COCO_MIRROR]) / 2, np.float32)


def _square(image: RgbImage, side: int, margin: float) -> tuple[RgbImage, NDArray[np.float64]]:
    """The crop in the middle of a black square, and the map from crop to square."""
    height, width = image.shape[:2]
    scale = side / (max(height, width) * margin)
    affine = np.array([[scale, 0, side / 2 - scale * width / 2], [0, scale, side / 2 - scale * height / 2]])
    return np.asarray(cv2.warpAffine(image, affine, (side, side)), np.uint8), affine


def _back(points: NDArray[Any], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((points - affine[:, 2]) / affine[0, 0], np.float64)


def _logistic(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -60, 60))))
