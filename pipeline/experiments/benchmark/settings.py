"""What a benchmark is told, and where it keeps what."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pipeline.common.settings import JobSettings
from pipeline.experiments.benchmark.gaps import Arm, Gap


class BenchmarkSettings(JobSettings):
    """Size and length of a benchmark; decides every byte of it."""

    identities: int = Field(300, ge=8, description="people of each domain of the world, half of them for training")
    images_per_camera: int = Field(2, ge=2, description="images of a person by a camera that sees them")
    height: int = Field(64, ge=32, multiple_of=16, description="of all networks' images, pixels")
    width: int = Field(32, ge=32, multiple_of=16, description="of all networks' images, pixels")
    budget: float = Field(1.0, gt=0, description="share of the full steps of each generator's training")
    reid_epochs: float = Field(30, gt=0, description="how often a ReID training sees each of its real images")
    reid_batch_size: int = Field(32, ge=4, description="images in such a step")
    device: str = Field("cpu", pattern="^(cpu|cuda)$", description="where networks run")


def seed_folder(output: Path, seed: int) -> Path:
    """All that is made for one seed."""
    return output / f"seed-{seed}"


def gap_folder(output: Path, seed: int, gap: Gap) -> Path:
    """All that is made for one gap, but for the world."""
    return seed_folder(output, seed) / gap.name


def arm_folder(output: Path, seed: int, gap: Gap, arm: Arm) -> Path:
    """What an arm makes: its synthetic sets, ReID network and record."""
    return gap_folder(output, seed, gap) / "arms" / arm.name.replace(", ", "-").replace(" ", "-")


def images_uri(output: Path, seed: int, gap: Gap, arm: Arm, part: str) -> str:
    """The synthetic set that an arm made of one of the gap's sets."""
    return str(arm_folder(output, seed, gap, arm) / f"images-{part}")
