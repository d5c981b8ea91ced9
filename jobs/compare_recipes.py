"""Trains every system for a budget on the toy world, measures each by what it is meant to do, and writes one page.

python jobs/compare_recipes.py --world toy --output runs/comparison
python jobs/compare_recipes.py --world toy --systems ptgan,cyclegan --budget 0.2

A stopped comparison is taken up again by the same command.
"""

from __future__ import annotations

from pathlib import Path

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field

from pipeline.common.devices import Threads, use_threads
from pipeline.common.settings import Advanced, Input, JobSettings, Output, run_job
from pipeline.experiments.comparison.laboratory import Laboratory
from pipeline.experiments.comparison.page import write_comparison
from pipeline.experiments.comparison.systems import SYSTEMS, find_systems
from pipeline.experiments.comparison.trial import Trial
from pipeline.generators.batches.cameras import camera_pairs
from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld


class Settings(JobSettings):
    """Train each system, measure it, and write comparison.html."""

    group = "recipe"
    world: Input[str] = Field("toy", description="toy: drawn into the output; or the folder of a toy world")
    output: Output[Path] = Field(Path("runs/comparison"), description="folder for trainings, figures and the page")
    systems: list[str] = Field([], description=f"by default all: {', '.join(SYSTEMS)}")
    budget: float = Field(1.0, gt=0, description="share of each system's full number of steps")
    identities: int = Field(300, ge=8, description="people of each domain of the world, half of them for training")
    height: int = Field(128, ge=32, multiple_of=4, description="height of the crops, pixels")
    width: int = Field(64, ge=16, multiple_of=4, description="width of the crops, pixels")
    camera_pairs: Advanced[int] = Field(
        15, ge=1, description="pairs of cameras that camstyle is trained for (6 cameras have 15)"
    )
    reid_steps: Advanced[int] = Field(1200, ge=1, description="training steps of the ReID model that measures")
    seed: int = Field(0, ge=0, description="of the world, the trainings and the instruments")
    threads: Threads = None


def main(settings: Settings) -> None:
    systems = find_systems(settings.systems)
    use_threads(settings.threads)
    world = Path(settings.world)
    if settings.world == "toy":
        world = settings.output / "world"
        make_toyworld(ToyWorldSettings(identities=settings.identities, seed=settings.seed, images_per_camera=2), world)
    lab = Laboratory(world, settings.height, settings.width, settings.seed, settings.reid_steps, settings.output)
    pairs = camera_pairs(sorted(set(lab.train["source"].cameras.tolist())))[: settings.camera_pairs]
    trial = Trial(settings.output, settings.budget, settings.seed, tuple(pairs))
    for number, system in enumerate(systems, 1):
        print(f"{number}/{len(systems)}: {system.name}", flush=True)
        trial.run(lab, system)
    about = (
        f"Toy world, {settings.identities} people a domain, half of them for training; {settings.height} x "
        f"{settings.width} pixels, seed {settings.seed}, {settings.budget:g} of the full budget. Measured on people "
        "that no training saw."
    )
    print(f"page: {write_comparison(settings.output, systems, about)}")


if __name__ == "__main__":
    run_job(Settings, main)
