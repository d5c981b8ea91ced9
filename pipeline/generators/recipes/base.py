"""What a recipe is: settings, networks, one training step, pure generation, a label rule.

A new system is a new file beside this one and one line in the table `pipeline.generators.recipes.RECIPES`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from manifests.errors import UserError
from manifests.format.schema import TRAINED_ALGORITHMIC_MEDIA
from pipeline.common.settings import JobSettings
from pipeline.generators.networks.blocks import DEFAULT_UPSAMPLING, HistoryPool, Norm, Upsampling
from pipeline.training.data import BatchSource, Columns, DomainData, UnpairedDomains
from pipeline.training.log import LossTerms

Batch = Mapping[str, Tensor]
"""Columns by name. Images (N, 3, H, W) in [-1, 1], masks (N, 1, H, W) 0 or 1, all on the networks' device."""

Size = tuple[int, int]
"""Height and width of the images in pixels."""

Need = Literal["masks", "keypoints", "identities", "cameras"]

Terms = LossTerms


class RecipeSettings(JobSettings):
    """The numbers of a paper; each field says where it comes from."""

    group = "recipe"
    advanced = True
    learning_rate: float = Field(default=2e-4, gt=0, description="Adam's step size (DCGAN, and most after it)")
    beta1: float = Field(default=0.5, ge=0, lt=1, description="Adam's first moment decay (DCGAN, ICLR 2016)")
    decay_from: float = Field(
        default=0.5, ge=0, le=1, description="share of the steps after which the step size falls linearly to 0"
    )

    def choices(self, size: Size) -> dict[str, Any]:
        """What the settings that are left open (None) are for images of ``size``."""
        return {}


class DoublingSettings(RecipeSettings):
    """Of a generator that doubles its images on the way."""

    upsampling: Upsampling | None = Field(
        default=None,
        description=f"transposed (the paper; leaves a grid) or resize (hardly any); by default {DEFAULT_UPSAMPLING}",
    )

    @property
    def doubling(self) -> Upsampling:
        """The way to double, also where it was left open."""
        return self.upsampling or DEFAULT_UPSAMPLING

    def choices(self, size: Size) -> dict[str, Any]:
        """As `RecipeSettings.choices`."""
        return super().choices(size) | {"upsampling": DEFAULT_UPSAMPLING}


class ResnetSettings(DoublingSettings):
    """Of a ResNet generator that changes an image."""

    ngf: int = Field(
        default=64,
        ge=4,
        le=1024,
        description="channels of the generator's first layer (CycleGAN, appendix 7.2; StarGAN, table 4)",
    )
    blocks: int = Field(
        default=9, ge=1, le=100, description="residual blocks (CycleGAN: 6 at 128 x 128, 9 at 256 x 256)"
    )
    norm: Norm = Field(
        default="instance",
        description="instance (the paper), or pixel: brightness is seen and leaves no blobs (ours)",
    )
    skip: bool = Field(
        default=False,
        description="add the image before the generator's tanh, so that the layers say what changes (ours)",
    )


@dataclass
class StepContext:
    """What a step may use beside networks and batch; nothing else is random or remembered."""

    step: int
    rng: np.random.Generator
    pools: Mapping[str, HistoryPool] = field(default_factory=dict)
    progress: float = 0.0
    """Share of the training's steps that are done, in [0, 1)."""


class Recipe(ABC):
    """One system of the literature. Instances hold settings only; networks and batches are passed in."""

    name: ClassVar[str]
    paper: ClassVar[str]
    settings_model: ClassVar[type[RecipeSettings]]
    roles: ClassVar[tuple[str, ...]] = ("source", "target")
    """The sets that it trains on."""
    optional_roles: ClassVar[tuple[str, ...]] = ()
    """Those that it can use too, where they are given."""
    needs: frozenset[Need] = frozenset()
    """What must be known of each training image beside its pixels."""
    inputs: ClassVar[tuple[str, ...]] = ("source",)
    """Batch columns that `generate` reads."""
    players: ClassVar[Mapping[str, tuple[str, ...]]]
    """Who trains what: for each optimiser, by name, the networks it moves."""
    pool_names: ClassVar[tuple[str, ...]] = ()
    exports: ClassVar[Mapping[str, str]]
    """What is kept after training: file stem -> name of the network that `generate` needs."""
    label_rule: ClassVar[str]
    """Default rule for generated rows, by its name in `manifests.format.soft_labels`."""
    source_type: ClassVar[str] = TRAINED_ALGORITHMIC_MEDIA
    """What IPTC calls its images: one of `manifests.format.schema.SOURCE_TYPES`."""
    before: ClassVar[Mapping[str, Any]] = {}
    """What a training has whose checkpoint does not name these settings: how things were before they were settings."""

    def __init__(self, settings: RecipeSettings | None = None) -> None:
        self.settings = settings if settings is not None else self.settings_model()

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        """This recipe with the settings that follow from its training sets (which cameras there are, ...)."""
        return self

    def sized(self, size: Size, started: Mapping[str, Any] | None = None) -> Self:
        """This recipe with the settings that follow from the size of its images.

        ``started`` are those of the training that is taken up, where it is one: what was chosen then stays.
        """
        open_settings = {
            name: chosen if started is None else started.get(name, chosen)
            for name, chosen in self.settings.choices(size).items()
            if getattr(self.settings, name) is None
        }
        if not open_settings:
            return self
        sized = copy.copy(self)
        sized.settings = self.settings.model_copy(update=open_settings)
        return sized

    @property
    def moves_joints(self) -> bool:
        """Whether people are moved joint by joint, for which the poses of their images have to be known."""
        return "joints" in self.inputs

    def pastes(self, elsewhere: bool) -> bool:
        """Whether people are put before other backgrounds, for which their masks have to be known: those of other
        cameras, or of another place (``elsewhere``)."""
        return False

    def needs_of(self, role: str, annotated: bool) -> frozenset[Need]:
        """What must be known of each image of the set of that role, of which masks and poses are given, or not
        (``annotated``)."""
        return self.needs

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        """Where its batches come from, given the training set of each role."""
        return UnpairedDomains(data["source"], data["target"], *size, seed)

    @abstractmethod
    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        """All networks for images of ``size``, initialised from ``generator`` alone."""

    @abstractmethod
    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        """One training step: yields ``(player, terms)`` in the order of the updates.

        The loop minimises the sum of the terms over the player's networks before it asks for the next.
        """

    @abstractmethod
    def build_generator(self, size: Size) -> nn.Module:
        """The network of one export, uninitialised: what a trained file is loaded into."""

    @abstractmethod
    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1]: a pure function, row by row, of the arguments."""

    def completed(self, columns: Columns, rows: int, size: Size) -> Columns:
        """Columns of so many ``rows`` with those of `inputs` that a caller may leave out, for images of ``size``."""
        return {"seed": np.arange(rows, dtype=np.int64), **columns}

    def draw_noise(self, size: Size, rng: np.random.Generator) -> NDArray[np.float32]:
        """(D,): one row of the column ``noise``, for an image of ``size``."""
        raise ValueError(f"{self.name} makes nothing from noise")

    def camera_number(self, plan: Mapping[str, Any]) -> int:
        """What a row of a plan (`pipeline.synthesis.plan.PLAN_SCHEMA`) has in the column ``camera``: the place of the
        camera that is asked for."""
        cameras: tuple[int, ...] = getattr(self.settings, "cameras", ())
        return cameras.index(plan["target_camera"])

    def asked(self, generation: Mapping[str, Any]) -> Self:
        """This recipe as it is asked to generate: with these of the settings that a synthesis may choose.

        Raises:
            UserError: it has no such setting, or not with such a value.
        """
        if generation:
            flag = next(iter(generation)).replace("_", "-")
            raise UserError(f"--{flag} means nothing to a {self.name} generator: leave it out")
        return self

    @abstractmethod
    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        """Columns of the picture grid by name, left to right: images or masks of the batch's rows."""
