"""Random changes of crops with their joints: geometry, things in the way, blur, colour."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.annotation.shipped.pose_data import ABSENT, HIDDEN, PoseCrops
from pipeline.common.images import RgbImage
from pipeline.common.keypoints import COCO_MIRROR

Keypoints = NDArray[np.float32]


def augment(crops: PoseCrops, chosen: NDArray[np.int64], rng: np.random.Generator) -> PoseCrops:
    """The ``chosen`` crops, each changed in its own way."""
    images = np.empty((len(chosen), *crops.images.shape[1:]), np.uint8)
    keypoints = np.empty((len(chosen), 17, 3), np.float32)
    for row, index in enumerate(chosen):
        image, points = _moved(crops.images[index], crops.keypoints[index], rng)
        if rng.random() < 0.2:
            _cover(image, points, crops.images[int(rng.integers(len(crops)))], rng)
        images[row], keypoints[row] = _blurred(image, rng), points
    return PoseCrops(_recoloured(images, rng), keypoints)


def _moved(image: RgbImage, keypoints: Keypoints, rng: np.random.Generator) -> tuple[RgbImage, Keypoints]:
    """Mirrored or not; turned by up to 20 degrees, scaled by up to a quarter, shifted. Joints that leave are absent."""
    height, width = image.shape[:2]
    points = keypoints.copy()
    if rng.random() < 0.5:
        image = image[:, ::-1]
        points = points[COCO_MIRROR]
        points[:, 0] = width - points[:, 0]
    angle = np.radians(rng.uniform(-20, 20)) * (rng.random() < 0.5)
    scale = np.exp(rng.uniform(np.log(0.75), np.log(1.25)))
    stretch = np.exp(rng.uniform(-0.1, 0.1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.diag([stretch, 1 / stretch])
    middle = np.array([width / 2, height / 2])
    offset = middle + rng.uniform(-0.07, 0.07, 2) * (width, height) - linear @ middle
    points[:, :2] = points[:, :2] @ linear.T + offset
    # OpenCV counts from the centre of the first pixel, we from its corner.
    matrix = np.column_stack([linear, offset + linear @ (0.5, 0.5) - 0.5])
    border = (cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101)[int(rng.integers(3))]
    moved = cv2.warpAffine(
        np.ascontiguousarray(image), matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border
    )
    outside = (points[:, :2] < 0).any(axis=1) | (points[:, :2] >= (width, height)).any(axis=1)
    points[outside & (points[:, 2] >= HIDDEN), 2] = ABSENT
    return np.asarray(moved, dtype=np.uint8), points


def _cover(image: RgbImage, keypoints: Keypoints, other: RgbImage, rng: np.random.Generator) -> None:
    """Put a part of another crop, or one colour, in the way; joints behind it are hidden."""
    height, width = image.shape[:2]
    rows, columns = int(height * rng.uniform(0.08, 0.35)), int(width * rng.uniform(0.12, 0.5))
    top, left = int(rng.integers(0, height - rows)), int(rng.integers(0, width - columns))
    area = np.s_[top : top + rows, left : left + columns]
    image[area] = other[area] if rng.random() < 0.6 else rng.integers(0, 256, 3, dtype=np.uint8)
    x, y, state = keypoints.T
    behind = (x >= left) & (x < left + columns) & (y >= top) & (y < top + rows) & (state > HIDDEN)
    keypoints[behind, 2] = HIDDEN


def _blurred(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Out of focus, or from a camera that sees less, now and then."""
    draw = rng.random()
    if draw < 0.2:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.6)), dtype=np.uint8)
    if draw < 0.4:
        height, width = image.shape[:2]
        factor = rng.uniform(1.3, 3.0)
        small = cv2.resize(image, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    return image


def _recoloured(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Gain of each channel, brightness, contrast, saturation; some of the crops grey."""
    count = len(images)
    pixels = images.astype(np.float32)
    gain = rng.uniform(0.85, 1.15, (count, 1, 1, 3)) * np.exp(rng.uniform(-0.6, 0.4, (count, 1, 1, 1)))
    contrast = rng.uniform(0.6, 1.3, (count, 1, 1, 1)).astype(np.float32)
    saturation = np.where(rng.random((count, 1, 1, 1)) < 0.1, 0, rng.uniform(0.5, 1.4, (count, 1, 1, 1)))
    grey = pixels.mean(axis=3, keepdims=True)
    pixels = grey + (pixels - grey) * saturation.astype(np.float32)
    level = grey.mean(axis=(1, 2), keepdims=True)
    pixels = (level + (pixels - level) * contrast) * gain.astype(np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8)
