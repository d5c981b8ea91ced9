"""PTGAN against CycleGAN on the toy world, market-like -> duke-like: same budget, same seed, same data.

python benchmarks/ptgan_vs_cyclegan.py --output runs/ptgan_vs_cyclegan --steps 1400

Draws the world, trains each system, and measures on people that no training saw, with the world's true masks: how
much the person changed, and how far the place moved towards the target domain. ``cyclegan_plain`` is CycleGAN
without its identity mapping: PTGAN less its one term.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from manifests.common.json_text import json_text
from manifests.errors import UserError
from pipeline.common.images import draw_contact_sheet, encode
from pipeline.common.settings import JobSettings, run_job
from pipeline.experiments.transfer_trial import ToyTrial
from pipeline.generators.recipes import find_recipe
from pipeline.generators.training.loop import TrainingSettings
from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld

# Recipe, and the weight of CycleGAN's identity mapping as a share of the cycle's (the paper: half).
SYSTEMS: dict[str, tuple[str, float]] = {
    "ptgan": ("ptgan", 0.0),
    "cyclegan": ("cyclegan", 0.5),
    "cyclegan_plain": ("cyclegan", 0.0),
}
RESULTS = Path(__file__).parent / "results"


class Settings(JobSettings):
    """Train PTGAN and CycleGAN on the toy world for the same number of steps and compare what they change."""

    output: Path = Field(default=Path("runs/ptgan_vs_cyclegan"), description="trainings and the world")
    world: Path | None = Field(default=None, description="a toy world that is there; by default one is drawn")
    systems: list[str] = Field(default=["ptgan", "cyclegan"], description=f"which of {', '.join(SYSTEMS)}")
    identities: int = Field(default=300, ge=4, description="of the world drawn, half of them for training")
    steps: int = Field(default=1400, ge=1, description="of each training")
    batch_size: int = Field(default=1, ge=1)
    ngf: int = Field(default=32, ge=4)
    blocks: int = Field(default=6, ge=1)
    ndf: int = Field(default=32, ge=4)
    skip: bool = Field(default=False, description="add the image before the generator's tanh")
    cycle_weight: float = Field(default=10.0, ge=0, description="of both")
    seed: int = Field(default=0, ge=0)
    sample_every: int = Field(default=250, ge=1)
    average_decay: float = Field(default=0.995, ge=0, lt=1)
    threads: int = Field(default=1, ge=1)
    results: Path = Field(default=RESULTS, description="folder for the figures and the picture")


def main(settings: Settings) -> int:
    """Train what is not trained yet, measure all, write figures and a picture."""
    torch.set_num_threads(settings.threads)
    unknown = sorted(set(settings.systems) - set(SYSTEMS))
    if unknown:
        raise UserError(f"unknown system {unknown[0]!r}; known: {', '.join(SYSTEMS)}")
    world = settings.world
    if world is None:
        world = settings.output / "world"
        drawn = ToyWorldSettings(identities=settings.identities, seed=settings.seed, images_per_camera=2)
        make_toyworld(drawn, world)
    trial = ToyTrial(world, settings.seed)
    figures: dict[str, dict[str, float]] = {}
    pictures = [trial.test["source"].images]
    for system in settings.systems:
        seconds = _train(trial, system, settings)
        quality, made = trial.measure(settings.output / system)
        figures[system] = {**quality.as_dict(), "training_seconds": seconds}
        pictures.append(made.images)
        print(f"{system}: " + " ".join(f"{name} {value:.3f}" for name, value in figures[system].items()), flush=True)
    figures["real places taken for the target's"] = trial.judge_shares()
    _write(settings, figures, [*pictures, trial.test["target"].images])
    return 0


def _train(trial: ToyTrial, system: str, settings: Settings) -> float:
    """Seconds of this call: of the whole training, if it was not there in part."""
    name, mapping = SYSTEMS[system]
    sizes = {
        "ngf": settings.ngf,
        "blocks": settings.blocks,
        "ndf": settings.ndf,
        "upsampling": "resize",
        "skip": settings.skip,
        "cycle_weight": settings.cycle_weight,
    }
    model = find_recipe(name)
    recipe = model(model.settings_model.model_validate({**sizes, "mapping_weight": mapping * settings.cycle_weight}))
    started = time.monotonic()
    trial.run(recipe, settings.output / system, settings.part(TrainingSettings))
    return time.monotonic() - started


def _write(settings: Settings, figures: dict[str, dict[str, float]], pictures: list[NDArray[np.uint8]]) -> None:
    settings.results.mkdir(parents=True, exist_ok=True)
    described = settings.model_dump(mode="json", exclude={"output", "world", "results"})
    path = settings.results / "ptgan_vs_cyclegan.json"
    path.write_text(json_text({"settings": described, "figures": figures}, indent=2) + "\n", encoding="utf-8")
    columns = np.linspace(0, len(pictures[0]) - 1, 12).astype(int)
    sheet = draw_contact_sheet([[images[column] for column in columns] for images in pictures], 128, 64)
    path.with_suffix(".png").write_bytes(encode(sheet, "png"))
    print(f"{path} and .png: from top to bottom source, {', '.join(settings.systems)}, real target")


if __name__ == "__main__":
    run_job(Settings, main)
