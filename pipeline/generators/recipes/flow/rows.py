"""What a row of a synthesis tells a flow, and what it is taken to mean where it says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.generators.networks.flow import ITSELF, MOVED, NOTHING
from pipeline.generators.noise import photographic_noise
from pipeline.generators.recipes.base import Size
from pipeline.generators.recipes.flow.settings import PersonFlowSettings
from pipeline.training.data import Columns
from pipeline.training.randomness import random_generator


def completed(settings: PersonFlowSettings, given: Columns, rows: int, size: Size) -> Columns:
    """``given`` columns, ``seed`` among them, and those that are missing.

    Without a source somebody new is made; where a pose is asked for, the source's person is moved there; else the
    source is changed. That goes to the other place, if there is one, to a camera by its row's seed; else a camera that
    is not said is not told. Noise is the seed's too.
    """
    posed = "source" in given and bool({"skeleton", "asked_joints"} & set(given))
    kind = MOVED if posed else ITSELF if "source" in given else NOTHING
    elsewhere = kind == ITSELF and bool(settings.target_cameras)
    seeds = given["seed"]
    missing: dict[str, Callable[[], NDArray[Any]]] = {
        "source": lambda: np.full((rows, *size, 3), 127, np.uint8),
        "reference": lambda: np.full(rows, kind, np.int64),
        "person": lambda: np.zeros((rows, *size), np.bool_),
        "camera": lambda: _elsewhere(settings, seeds) if elsewhere else np.full(rows, settings.conditions, np.int64),
        "noise": lambda: np.stack([draw_noise(settings, size, random_generator(int(one))) for one in seeds]),
    }
    if not posed:  # else whoever asks for a pose has to say where it is, and where the person stood
        missing |= {
            "skeleton": lambda: np.zeros((rows, *size, 3), np.uint8),
            "joints": lambda: np.zeros((rows, 51), np.int64),
            "asked_joints": lambda: np.zeros((rows, 51), np.int64),
        }
    return given | {name: make() for name, make in missing.items() if name not in given}


def camera_number(settings: PersonFlowSettings, plan: Mapping[str, Any]) -> int:
    """Of a row of a plan the camera asked for; else, of another pose or somebody new, the image's own; else one of the
    other place's, by the row's seed."""
    cameras = settings.cameras
    changed = plan["image_sha256"] is not None and plan["pose_class"] is None and plan["pose_sha256"] is None
    if plan["target_camera"] is None and changed:
        return int(_elsewhere(settings, np.array([plan["seed"]]))[0])
    camera = plan["camera"] if plan["target_camera"] is None else plan["target_camera"]
    return cameras.index(camera) if camera in cameras else settings.conditions


def draw_noise(settings: PersonFlowSettings, size: Size, rng: np.random.Generator) -> NDArray[np.float32]:
    """(3 H W,) float32: the noise of one image."""
    return photographic_noise(rng, 1, size, settings.noise_slope).reshape(-1)


def _elsewhere(settings: PersonFlowSettings, seeds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cameras of the other place."""
    return len(settings.cameras) + seeds % len(settings.target_cameras)
