from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from manifests.reading.dataset import open_dataset
from tests.conftest import ToySources
from tests.pipeline.tiny_generators import save_tiny, save_tiny_pairs, standing_poses
from tests.pipeline.tiny_synthesis import Trained


@pytest.fixture(scope="session")
def cameras(toy_sources: ToySources) -> tuple[int, ...]:
    """The cameras of the training people."""
    rows = open_dataset(toy_sources.market).scan().select("camera", "split", "role").collect()
    used = rows.filter((rows["split"] == "train") & (rows["role"] == "person"))
    return tuple(sorted(set(used["camera"].to_list())))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cameras: tuple[int, ...]) -> Trained:
    """A tiny generator of a recipe, by the recipe's name."""
    known: dict[str, dict[str, Any]] = {
        "cgan": {"cameras": cameras},
        "camstyle_multidomain": {"cameras": cameras},
        "pngan": {"canonical_poses": standing_poses()},
        "personflow": {"cameras": cameras, "target_cameras": (1, 2), "canonical_poses": standing_poses()},
        "pix2pix_cameras": {"source_camera": cameras[0], "target_camera": cameras[1]},
    }

    @cache
    def saved(recipe: str) -> str:
        folder = tmp_path_factory.mktemp(recipe)
        if recipe == "camstyle":
            return save_tiny_pairs(folder, cameras)
        save_tiny(folder, recipe, **known.get(recipe, {}))
        return str(folder)

    return saved
