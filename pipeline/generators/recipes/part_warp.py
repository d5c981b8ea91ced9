"""part_warp: people in other poses as a paper puppet takes them, limb by limb. Nothing is trained.

What a generator of poses has to beat: `pipeline.generators.puppets` says how parts are moved. The canonical poses are
kept in the place of weights; a training takes one step that does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.annotation.canonical_poses import CanonicalPoses, PoseCount, canonical_shares
from pipeline.common.skeletons import as_joints
from pipeline.generators.puppets import joints_of, move_parts
from pipeline.generators.recipes.base import Batch, Need, RecipeSettings, Size
from pipeline.generators.recipes.untrained import Shown, Untrained
from pipeline.training.data import BatchSource, Columns, DomainData, needed


class PartWarpSettings(RecipeSettings):
    """None of the numbers of a training means anything here."""

    poses: PoseCount = 8
    canonical_poses: CanonicalPoses = ()


class PartWarp(Untrained):
    name = "part_warp"
    paper = "after Siarohin et al., CVPR 2018"
    settings_model: ClassVar[type[PartWarpSettings]] = PartWarpSettings
    settings: PartWarpSettings
    roles = ("source",)
    needs: frozenset[Need] = frozenset({"keypoints"})
    inputs: ClassVar[tuple[str, ...]] = ("source", "joints", "asked_joints")

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        if self.settings.canonical_poses:
            return self
        poses = canonical_shares(data["source"], self.settings.poses, self.name)
        return type(self)(self.settings.model_copy(update={"canonical_poses": poses}))

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        return _Swapped(data, size)

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        return nn.ModuleDict({"generator": self.build_generator(size)})

    def build_generator(self, size: Size) -> nn.Module:
        return _Nothing()

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        own, asked = (joints_of(batch[name]) for name in ("joints", "asked_joints"))
        return move_parts(batch["source"].float(), own, asked).image.to(batch["source"].dtype)


class _Nothing(nn.Module):
    """No weights: a file has to hold something."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("nothing", torch.zeros(1, dtype=torch.int32))


class _Swapped(Shown):
    """Some images, each in the pose of the next."""

    def preview(self, count: int) -> Columns:
        shown = self.shown(count)
        joints = as_joints(needed(shown.keypoints, "keypoints", PartWarp.name))
        return {"source": shown.images, "joints": joints, "asked_joints": np.roll(joints, -1, axis=0)}
