"""pasted, pasted_cameras: people as they are, before real backgrounds of another place or camera. Nothing is trained.

What a generator has to beat where a place shows by what stands around people: a person is cut out by their mask and put
before a training image of the other place, or of the camera asked for, that somebody was taken out of
(`pipeline.generators.backgrounds`). Those images are kept in the place of weights; a training takes one step that does
nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.common.settings import Found
from pipeline.generators.backgrounds import Backgrounds, Count, Known
from pipeline.generators.recipes.base import Batch, Need, RecipeSettings, Size
from pipeline.generators.recipes.untrained import Untrained
from pipeline.training.data import Camera, DomainData, needed


class PastedSettings(RecipeSettings):
    """None of the numbers of a training means anything here."""

    backgrounds: int = Field(default=1000, ge=1, le=10_000, description="most that are kept of the other place (ours)")
    background_counts: Found[tuple[Count, ...]] = Field(default=(), description="by camera: what a training found")


class PastedCameraSettings(PastedSettings):
    """The same by camera."""

    backgrounds: int = Field(default=64, ge=1, le=10_000, description="most that are kept of each camera (ours)")
    cameras: tuple[Camera, ...] = Field(default=(), description="by default all there are")


class _Pasting(Untrained):
    """Keeps images that people were taken out of, and puts others before them."""

    paper = "random backgrounds: Tian et al., CVPR 2018"
    settings_model: ClassVar[type[PastedSettings]] = PastedSettings
    settings: PastedSettings
    needs: frozenset[Need] = frozenset({"masks"})
    inputs: ClassVar[tuple[str, ...]] = ("source", "person", "seed")

    def __init__(self, settings: RecipeSettings | None = None) -> None:
        super().__init__(settings)
        self._known: Known | None = None

    @abstractmethod
    def keep(self, data: Mapping[str, DomainData]) -> tuple[Known, dict[str, object]]:
        """What is kept of the training sets, and the settings that follow from it beside how many there are."""

    def pastes(self, elsewhere: bool) -> bool:
        return True

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        known, settings = self.keep(data)
        made = type(self)(self.settings.model_copy(update={**settings, "background_counts": known.counts}))
        made._known = known
        return made

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        made = self.build_generator(size)
        if self._known is not None:
            self._known.filled_in(made)
        return nn.ModuleDict({"generator": made})

    def build_generator(self, size: Size) -> Backgrounds:
        return Backgrounds(self.settings.background_counts, size)

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(generator, Backgrounds)
        cameras = batch["camera"] if "camera" in self.inputs else torch.zeros_like(batch["seed"])
        return generator.behind(batch["source"], batch["person"], cameras, batch["seed"], clean_edges=True)


class Pasted(_Pasting):
    """Before backgrounds of the target domain."""

    name = "pasted"

    def keep(self, data: Mapping[str, DomainData]) -> tuple[Known, dict[str, object]]:
        target = data["target"]
        return Known.of(target, np.zeros(len(target), np.int64), 1, self.settings.backgrounds), {}


class PastedCameras(_Pasting):
    """Before backgrounds of the camera asked for."""

    name = "pasted_cameras"
    settings_model: ClassVar[type[PastedSettings]] = PastedCameraSettings
    settings: PastedCameraSettings
    roles = ("source",)
    needs: frozenset[Need] = frozenset({"cameras", "masks"})
    inputs: ClassVar[tuple[str, ...]] = ("source", "person", "camera", "seed")

    def keep(self, data: Mapping[str, DomainData]) -> tuple[Known, dict[str, object]]:
        source = data["source"]
        cameras = needed(source.cameras, "camera", self.name)
        names = self.settings.cameras or tuple(np.unique(cameras[cameras >= 0]).tolist())
        if len(names) < 2:
            raise UserError(f"{self.name} needs images by two cameras or more; found {len(names)}")
        places = np.array([names.index(one) if one in names else -1 for one in cameras.tolist()], np.int64)
        known = Known.of(source, places, len(names), self.settings.backgrounds)
        missing = [name for name, count in zip(names, known.counts, strict=True) if not count]
        if missing:
            raise UserError(f"{self.name} needs an image with a mask by each camera; found none by {missing[0]}")
        return known, {"cameras": names}
