"""pasted_cameras: each person as they are, before a real background of the camera asked for. Nothing is trained.

What a generator of camera styles has to beat where a camera shows by what stands around people: a person is cut out by
their mask and put before a training image of the other camera that somebody was taken out of
(`pipeline.generators.backgrounds`). Those images are kept in the place of weights; a training takes one step that does
nothing. An image without a mask stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.generators.backgrounds import Backgrounds, Known, check_cameras
from pipeline.generators.recipes.base import Batch, Need, Recipe, RecipeSettings, Size, StepContext, Terms
from pipeline.generators.recipes.humble import Shown
from pipeline.training.data import BatchSource, Camera, DomainData, needed


class PastedSettings(RecipeSettings):
    """None of the numbers of a training means anything here."""

    backgrounds: int = Field(default=64, ge=1, le=10_000, description="most that are kept of each camera (ours)")
    cameras: tuple[Camera, ...] = Field(default=(), description="by default all there are")
    background_counts: tuple[int, ...] = Field(default=(), description="by camera; by default as many as are found")


class PastedCameras(Recipe):
    name = "pasted_cameras"
    paper = "random backgrounds: Tian et al., CVPR 2018"
    settings_model: ClassVar[type[PastedSettings]] = PastedSettings
    settings: PastedSettings
    roles = ("source",)
    needs: frozenset[Need] = frozenset({"cameras", "masks"})
    inputs: ClassVar[tuple[str, ...]] = ("source", "person", "camera", "seed")
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    exports: ClassVar[Mapping[str, str]] = {"generator": "generator"}
    label_rule = "lsr"

    def __init__(self, settings: RecipeSettings | None = None) -> None:
        super().__init__(settings)
        self._known: Known | None = None

    @property
    def pastes(self) -> bool:
        return True

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        source = data["source"]
        cameras = needed(source.cameras, "camera", self.name)
        names = self.settings.cameras or tuple(np.unique(cameras[cameras >= 0]).tolist())
        if len(names) < 2:
            raise UserError(f"{self.name} needs images by two cameras or more; found {len(names)}")
        places = np.array([names.index(one) if one in names else -1 for one in cameras.tolist()], np.int64)
        known = Known.of(source, places, len(names), self.settings.backgrounds)
        check_cameras(known, names, self.name)
        made = type(self)(self.settings.model_copy(update={"cameras": names, "background_counts": known.counts}))
        made._known = known
        return made

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        return Shown(data, size)

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        made = self.build_generator(size)
        if self._known is not None:
            self._known.filled_in(made)
        return nn.ModuleDict({"generator": made})

    def build_generator(self, size: Size) -> Backgrounds:
        return Backgrounds(self.settings.background_counts, size)

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        return iter(())

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(generator, Backgrounds)
        return generator.behind(batch["source"], batch["person"], batch["camera"], batch["seed"])

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        return {"source": batch["source"], "generated": self.generate(networks["generator"], batch)}
