"""What a benchmark is told, and where it keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from pipeline.common.digests import settings_sha256
from pipeline.common.settings import Advanced, JobSettings, Run
from pipeline.experiments.benchmark.arms import Arm
from pipeline.experiments.benchmark.gaps import Gap, ImageSet
from pipeline.sources.toyworld import VERSION, DomainName, ToyWorldSettings
from pipeline.synthesis.plan import RECIPE_VERSION

_DRAWN_HEIGHT = 128
"""Smaller crops are drawn at this height and scaled, as those of cameras are."""


class BenchmarkSettings(JobSettings):
    """Size and length of a benchmark; decides every byte of it."""

    group = "benchmark"
    identities: int = Field(300, ge=8, description="people of each domain of the world, half of them for training")
    images_per_camera: Advanced[int] = Field(2, ge=2, description="images of a person by a camera that sees them")
    height: int = Field(64, ge=32, multiple_of=16, description="height of all networks' images, pixels")
    width: int = Field(32, ge=32, multiple_of=16, description="width of all networks' images, pixels")
    budget: float = Field(1.0, gt=0, description="share of the full steps of each generator's training")
    reid_epochs: Advanced[float] = Field(30, gt=0, description="how often a ReID training sees each of its real images")
    reid_batch_size: Advanced[int] = Field(32, ge=4, description="images in such a step")
    judge_steps: Advanced[int] = Field(
        200, ge=1, description="steps of the classifiers that say whether images reached a target"
    )
    device: Run[str] = Field("cpu", pattern="^(cpu|cuda)$", description="where networks run")

    def toy_world(self, seed: int, domain: DomainName) -> ToyWorldSettings:
        """One domain of the drawn world of ``seed``."""
        height = max(_DRAWN_HEIGHT, self.height)
        return ToyWorldSettings(
            identities=self.identities,
            seed=seed,
            images_per_camera=self.images_per_camera,
            height=height,
            width=height * self.width // self.height,
            domains=(domain,),
        )

    def deciding(self) -> dict[str, Any]:
        """What a figure depends on, as JSON."""
        return self.model_dump(mode="json", exclude={"device"})


@dataclass(frozen=True)
class Storage:
    """Where a benchmark keeps what it makes; small and picklable."""

    output: Path
    generators: Path
    """Trained generators, each under a name that follows from all that decides it: other benchmarks find them too."""

    def seed(self, seed: int) -> Path:
        """All that is made for one seed, but for generators."""
        return self.output / f"seed-{seed}"


@dataclass(frozen=True)
class Bench:
    """One gap of one seed, and where its parts lie."""

    settings: BenchmarkSettings
    storage: Storage
    seed: int
    gap: Gap

    @property
    def folder(self) -> Path:
        """All that belongs to the gap alone."""
        return self.storage.seed(self.seed) / self.gap.name

    def uri(self, name: str) -> str:
        """Of one of the gap's source manifests (`Gap.sets`)."""
        return set_uri(self.storage, self.seed, self.gap.sets[name])

    def generator_folder(self, recipe: str, decisive: dict[str, Any]) -> Path:
        """Of the generator that ``decisive`` and the world of the seed decide."""
        world = self.settings.toy_world(self.seed, self.gap.sets["train"].domain).model_dump(mode="json")
        versions = {"world": VERSION, "recipe": RECIPE_VERSION}
        key = settings_sha256({"versions": versions, "world": world, "recipe": recipe, **decisive})
        return self.storage.generators / f"{recipe}-{key[:12]}"

    def images_folder(self, arm: Arm) -> Path:
        """The arm's synthetic sets by what they were made of, and what was found out about them."""
        return self.folder / "images" / arm.images

    def training_folder(self, arm: Arm, training: int) -> Path:
        """One ReID training of an arm: its network and record."""
        return self.folder / "arms" / arm.name / f"training-{training}"


def world_folder(storage: Storage, seed: int, domain: DomainName) -> Path:
    """Where a domain of the world is drawn: gaps that never look into the other do without it."""
    return storage.seed(seed) / "worlds" / domain


def set_uri(storage: Storage, seed: int, images: ImageSet) -> str:
    """Where a source manifest lies."""
    return str(storage.seed(seed) / "sets" / images.name)
