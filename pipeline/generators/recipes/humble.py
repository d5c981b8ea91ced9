"""Transfers that train nothing: what a generator has to beat.

`Reinhard` gives an image the colours of a random image of the target domain, or of the camera asked for. `ColourJitter`
moves as far in no direction. Formulas and source: `pipeline.common.colours`.

What is kept of the target are six numbers an image, in the place of weights; a training takes one step that does
nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from manifests.errors import UserError
from manifests.format.schema import ALGORITHMICALLY_ENHANCED
from pipeline.common.colours import Look, change_widths, jittered, look_of, transfer_colours
from pipeline.common.images import RgbImage
from pipeline.common.tensors import clipped, to_signed
from pipeline.generators.recipes.base import Batch, Need, RecipeSettings, Size
from pipeline.generators.recipes.untrained import Untrained
from pipeline.training.data import Camera, DomainData, needed
from pipeline.training.randomness import random_generator

_UNIT = 1024
"""Looks are kept as integers, in parts of it: weights are stored and run in half precision, integers as they are."""


class HumbleSettings(RecipeSettings):
    """None of the numbers of a training means anything here."""

    looks: int = Field(default=1000, ge=1, le=100_000, description="most target images whose look is kept (ours)")


class HumbleCameraSettings(HumbleSettings):
    """The same by camera."""

    cameras: tuple[Camera, ...] = Field(default=(), description="those whose looks are known; by default all there are")


class Looks(nn.Module):
    """``looks`` (N, 6) in parts of `_UNIT`, and the ``cameras`` (N,) they are of, by place among the settings' ones."""

    looks: Tensor
    cameras: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("looks", torch.zeros(count, 6, dtype=torch.int32))
        self.register_buffer("cameras", torch.zeros(count, dtype=torch.int32))

    def of(self, camera: int | None) -> Look:
        """(M, 6): all, or those of one camera.

        Raises:
            UserError: there is none.
        """
        chosen = self.looks if camera is None else self.looks[self.cameras == camera]
        if not len(chosen):
            raise UserError(f"the generator keeps no look of its camera number {camera}: train it again")
        return np.asarray(chosen.cpu().numpy() / _UNIT)


class _Humble(Untrained):
    """Keeps numbers of its training images, and by them gives an image another look."""

    paper = "Reinhard et al., IEEE CG&A 2001"
    source_type = ALGORITHMICALLY_ENHANCED
    settings_model: ClassVar[type[HumbleSettings]] = HumbleSettings
    settings: HumbleSettings
    inputs: ClassVar[tuple[str, ...]] = ("source", "seed")

    def __init__(self, settings: RecipeSettings | None = None) -> None:
        super().__init__(settings)
        self._kept: Kept | None = None

    @abstractmethod
    def keep(self, data: Mapping[str, DomainData]) -> Kept:
        """What is kept of the training sets."""

    @abstractmethod
    def repaint(self, image: RgbImage, looks: Looks, camera: int | None, rng: np.random.Generator) -> RgbImage:
        """``image`` (H, W, 3) uint8 with another look, of the camera of that place where there are cameras."""

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        kept = self.keep(data)
        known = {"looks": len(kept.looks), **({"cameras": kept.names} if kept.names else {})}
        made = type(self)(self.settings.model_copy(update=known))
        made._kept = kept
        return made

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        made = Looks(self.settings.looks)
        if self._kept is not None:
            made.looks.copy_(torch.from_numpy(np.rint(self._kept.looks * _UNIT)))
            made.cameras.copy_(torch.from_numpy(self._kept.cameras))
        return nn.ModuleDict({"generator": made})

    def build_generator(self, size: Size) -> nn.Module:
        return Looks(self.settings.looks)

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(generator, Looks)
        source, seeds = batch["source"], batch["seed"].tolist()
        cameras = batch["camera"].tolist() if "camera" in self.inputs else [None] * len(seeds)
        made = [
            self.repaint(image, generator, camera, random_generator(seed))
            for image, camera, seed in zip(clipped(source).cpu().numpy(), cameras, seeds, strict=True)
        ]
        return to_signed(np.stack(made), source.device).to(source.dtype)


class Kept(NamedTuple):
    """Six numbers of each of N images (N, 6), the places (N,) of their cameras, and the cameras by place."""

    looks: Look
    cameras: NDArray[np.int64]
    names: tuple[int, ...] = ()


def _looks(data: DomainData, most: int) -> Look:
    """Of at most so many images, spread evenly."""
    rows = np.unique(np.linspace(0, len(data) - 1, min(most, len(data))).astype(np.int64))
    return np.stack([look_of(image) for image in data.images[rows]])


def _by_camera(data: DomainData, asked: tuple[int, ...], most: int, recipe: str) -> Kept:
    """As many looks of each camera, ``most`` together; images without one are left out."""
    cameras = needed(data.cameras, "camera", recipe)
    names = asked or tuple(np.unique(cameras[cameras >= 0]).tolist())
    missing = sorted(set(names) - set(cameras.tolist()))
    if len(names) < 2 or missing:
        raise UserError(f"{recipe} needs images by two cameras or more; found none by {missing or 'a second one'}")
    each = [_looks(data.take(np.flatnonzero(cameras == name)), max(1, most // len(names))) for name in names]
    places = np.concatenate([np.full(len(looks), place) for place, looks in enumerate(each)])
    return Kept(np.concatenate(each), places, names)


class Reinhard(_Humble):
    """Each image with the look of a random image of the target domain."""

    name = "reinhard"

    def keep(self, data: Mapping[str, DomainData]) -> Kept:
        looks = _looks(data["target"], self.settings.looks)
        return Kept(looks, np.zeros(len(looks), np.int64))

    def repaint(self, image: RgbImage, looks: Looks, camera: int | None, rng: np.random.Generator) -> RgbImage:
        known = looks.of(camera)
        return transfer_colours(image, known[rng.integers(len(known))])


class ColourJitter(_Humble):
    """Each image with a change of look as large as `Reinhard`'s, in a random direction."""

    name = "colour_jitter"

    def keep(self, data: Mapping[str, DomainData]) -> Kept:
        source, target = (_looks(data[role], self.settings.looks) for role in ("source", "target"))
        return Kept(change_widths(source, target)[None], np.zeros(1, np.int64))

    def repaint(self, image: RgbImage, looks: Looks, camera: int | None, rng: np.random.Generator) -> RgbImage:
        [widths] = looks.of(None)
        return transfer_colours(image, jittered(look_of(image), widths, rng.standard_normal(6)))


class _OfCameras(_Humble):
    """The same between the cameras of one domain."""

    settings_model: ClassVar[type[HumbleSettings]] = HumbleCameraSettings
    settings: HumbleCameraSettings
    roles = ("source",)
    needs: frozenset[Need] = frozenset({"cameras"})
    inputs: ClassVar[tuple[str, ...]] = ("source", "camera", "seed")

    def _of_cameras(self, data: Mapping[str, DomainData]) -> Kept:
        return _by_camera(data["source"], self.settings.cameras, self.settings.looks, self.name)


class ReinhardCameras(_OfCameras, Reinhard):
    """Each image with the look of a random image by the camera asked for."""

    name = "reinhard_cameras"

    def keep(self, data: Mapping[str, DomainData]) -> Kept:
        return self._of_cameras(data)


class ColourJitterCameras(_OfCameras, ColourJitter):
    """Each image with a change of look as large as between any two images.

    That counts pairs by one camera too, so that for C cameras it is less than what `ReinhardCameras` changes, by a
    factor of up to ``sqrt((C - 1) / C)`` where cameras differ much.
    """

    name = "colour_jitter_cameras"

    def keep(self, data: Mapping[str, DomainData]) -> Kept:
        known = self._of_cameras(data)
        return Kept(change_widths(known.looks, known.looks)[None], np.zeros(1, np.int64), known.names)
