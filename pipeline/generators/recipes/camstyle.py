"""CamStyle: a CycleGAN for every two cameras; each image as every other camera would have taken it.

Zhong, Zheng, Zheng, Li, Yang: "Camera Style Adaptation for Person Re-identification", CVPR 2018, sections 3.2 and 3.3.
Generated images keep their identity with a smoothed label, since not all of them are good:
``q(y) = 1 - eps + eps / K`` and ``q(k) = eps / K`` elsewhere, eps = 0.1. One training is one pair of cameras; all
C (C - 1) / 2 of them are what `jobs/train_generator.py` trains when no target is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from pipeline.common.settings import Found
from pipeline.generators.recipes.base import Need
from pipeline.generators.recipes.cyclegan import CycleGAN, CycleGANSettings
from pipeline.training.data import Camera, DomainData


class CamStyleSettings(CycleGANSettings):
    source_camera: Found[Camera | None] = Field(default=None, description="number of the camera A; from the data")
    target_camera: Found[Camera | None] = Field(default=None, description="number of the camera B; from the data")


class CamStyle(CycleGAN):
    name = "camstyle"
    paper = "Zhong et al., CVPR 2018"
    settings_model: ClassVar[type[CycleGANSettings]] = CamStyleSettings
    settings: CamStyleSettings
    needs: frozenset[Need] = frozenset({"cameras"})

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        cameras = {f"{role}_camera": _only_camera(data[role]) for role in self.roles}
        return type(self)(self.settings.model_copy(update=cameras))


def _only_camera(data: DomainData) -> int | None:
    """The camera of all the images, None if they are of several."""
    found = np.unique(data.cameras) if data.cameras is not None else np.empty(0)
    return int(found[0]) if len(found) == 1 else None
