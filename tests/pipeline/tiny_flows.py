"""Flows that are as small as they come, and noise for people to train them on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.common.tensors import to_batch
from pipeline.generators.networks.flow import MOVED
from pipeline.generators.recipes.base import StepContext
from pipeline.generators.recipes.flow.settings import PersonFlowSettings
from pipeline.generators.recipes.personflow import PersonFlow
from pipeline.training.data import DomainData
from tests.pipeline.tiny_generators import standing_poses

SIZE = 32, 16
CAMERAS = (2, 5, 15)


def people(count: int = 12, named: bool = True) -> DomainData:
    """Noise whose brightness tells the camera: ``count // 3`` people before three cameras each."""
    rng = np.random.Generator(np.random.Philox(0))
    images = rng.integers(0, 60, (count, 36, 18, 3)) + (np.arange(count) % 3 * 90)[:, None, None, None]
    poses = np.stack([np.array(one) * (18, 36) for one in standing_poses(count)])
    return DomainData(
        images.astype(np.uint8),
        masks=np.broadcast_to(np.arange(18) >= 9, (count, 36, 18)) if named else None,
        keypoints=np.dstack([poses, np.ones((count, 17))]).astype(np.float32) if named else None,
        identities=np.arange(count) // 3,
        cameras=np.array(CAMERAS)[np.arange(count) % 3],
    )


def recipe(target: bool = False, **changed: Any) -> PersonFlow:
    data = {"source": people()} | ({"target": people(6, named=False)} if target else {})
    return PersonFlow(PersonFlowSettings(**{"channels": 8, "backgrounds": 0, **changed})).fitted(data)


def networks(one: PersonFlow) -> nn.ModuleDict:
    """With weights that let everything be seen; the average lags behind."""
    made = one.build(torch.Generator().manual_seed(1), SIZE)
    with torch.no_grad():
        for name, alpha in (("network", 0.1), ("average", 0.1)):
            random = torch.Generator().manual_seed(len(name))
            for parameter in made[name].parameters():
                parameter.add_(torch.randn(parameter.shape, generator=random), alpha=alpha)
    return made


def batch(one: PersonFlow, rows: int = 8) -> dict[str, Tensor]:
    return to_batch(one.batches({"source": people()}, SIZE, 3).batch(0, rows))


def of_no_joint(rows: int) -> dict[str, Tensor]:
    return {name: torch.zeros(rows, 51, dtype=torch.int64) for name in ("joints", "asked_joints")}


def context(step: int = 0) -> StepContext:
    return StepContext(step, np.random.Generator(np.random.Philox(5)))


def moved_batch(one: PersonFlow, rows: int = 8) -> dict[str, Tensor]:
    images = batch(one, rows)
    assert (images["reference"] == MOVED).all()
    return images
