"""The numbers of personflow; each says where it comes from."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from pipeline.annotation.canonical_poses import CanonicalPoses, PoseCount
from pipeline.common.settings import Found
from pipeline.generators.backgrounds import Count
from pipeline.generators.generation_choices import Background, FlowSteps
from pipeline.generators.recipes.base import RecipeSettings
from pipeline.training.data import Camera


class PersonFlowSettings(RecipeSettings):
    learning_rate: float = Field(default=1e-3, gt=0, description="Adam's step size (ours)")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Adam's first moment decay (Adam's own)")
    channels: int = Field(default=48, ge=8, le=1024, multiple_of=8, description="of the first level (ours)")
    flow_steps: FlowSteps = Field(default=4, description="evaluations of the network an image: 1, 2, 4 or 8")
    flow_start: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="time to begin at, with the source's own noised pixels; a multiple of 1/steps",
    )
    place_noise: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="share of the noise that goes into an image that is changed, not made (ours)",
    )
    guidance: float = Field(
        default=1.0, ge=0, le=10, description="weight of the conditions beyond 1 (classifier-free guidance); 1: none"
    )
    deviation: float = Field(
        default=0.33, gt=0, description="standard deviation of images (drawn people: 0.35; EDM: 0.5)"
    )
    time_mean: float = Field(default=-0.4, description="mean of the normal number behind t (ours)")
    time_deviation: float = Field(default=1.0, gt=0, description="its standard deviation (SD3, section 3.1)")
    noise_share: float = Field(
        default=0.25, ge=0, lt=1, description="how often t is 0, where short trainings learn most (ours)"
    )
    noise_slope: float = Field(
        default=1.25, ge=0, le=3, description="how fast the noise's amplitude falls with frequency; 0: white (ours)"
    )
    shortcut_share: float = Field(
        default=0.25, ge=0, lt=1, description="of a batch that learns longer steps (section 3.2)"
    )
    drop: float = Field(default=0.1, ge=0, lt=1, description="how often each condition is left out (Ho, Salimans 2022)")
    mask_weight: float = Field(
        default=1.0,
        ge=0,
        description="a: how much more a person's pixels count; 0 with --backgrounds 0: no masks are read (ours)",
    )
    detail_weight: float = Field(
        default=20.0,
        ge=0,
        description="b: of the error's differences between neighbours: of images that are their own reference, also "
        "where it is left out, and of people who are moved (ours)",
    )
    itself_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of the images with a partner, how many are their own reference; 1: no names or poses are read "
        "(ours)",
    )
    background: Background | None = Field(
        default=None,
        description="where people are whom another camera or place shows, and whose masks are known: asked: before a "
        "background of it; own: where they were; by default asked where backgrounds are kept",
    )
    backgrounds: int = Field(default=32, ge=0, le=10_000, description="most that are kept of each camera (ours)")
    background_counts: Found[tuple[Count, ...]] = Field(default=(), description="by camera: what a training found")
    background_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of the images that are their own reference, how many learn to fit into a background (ours)",
    )
    teacher_decay: float = Field(
        default=0.999, ge=0, lt=1, description="of the moving average that teaches long steps and is kept"
    )
    cameras: tuple[Camera, ...] = Field(default=(), description="numbers of the cameras; by default those of the data")
    target_cameras: Found[tuple[Camera, ...]] = Field(
        default=(), description="those of the other place, if there is one"
    )
    poses: PoseCount = 8
    canonical_poses: CanonicalPoses = ()

    @property
    def conditions(self) -> int:
        """How many cameras there are in all; their number is that of no camera."""
        return len(self.cameras) + len(self.target_cameras)

    @model_validator(mode="after")
    def _begins_at_a_step(self) -> Self:
        if self.flow_start * self.flow_steps % 1:
            length = f"1/{self.flow_steps}, the length of a step"
            raise ValueError(f"--flow-start {self.flow_start:g} is no multiple of {length}: see --flow-steps")
        return self
