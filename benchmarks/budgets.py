"""What longer training brings: a system's figures at growing budgets, each from one run.

OMP_NUM_THREADS=1 python benchmarks/budgets.py --systems pngan,personflow-poses --budget 3 --output runs/budgets

Step sizes stay as they begin, so that every point of a run is a training of that length; the networks that are measured
are the moving average. A system's budget is in its full steps of the comparison. CPU seconds are of training alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from manifests.common.json_text import write_json
from pipeline.common.environment import environment
from pipeline.common.settings import JobSettings, run_job
from pipeline.experiments.comparison.effects import MEASURES
from pipeline.experiments.comparison.laboratory import Laboratory
from pipeline.experiments.comparison.systems import SYSTEMS, System
from pipeline.experiments.transfer_trial import LICENCE
from pipeline.generators.recipes import find_recipe
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.generators.training.result import write_result
from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld

POINTS = "points.json"


class Settings(JobSettings):
    """Train systems long, and measure them on the way."""

    output: Path = Field(default=Path("runs/budgets"))
    world: Path | None = Field(default=None, description="a drawn world; by default drawn into the output")
    systems: list[str] = Field(default=["pngan", "personflow-poses"])
    budget: float = Field(default=3.0, gt=0, description="of each system's full steps in the comparison")
    every: float = Field(default=0.25, gt=0, description="budget between measurements")
    height: int = Field(default=64, ge=32, multiple_of=4)
    width: int = Field(default=32, ge=16, multiple_of=4)
    identities: int = Field(default=300, ge=8)
    reid_steps: int = Field(default=1200, ge=1)
    seed: int = Field(default=0, ge=0)
    results: Path = Field(default=Path(__file__).parent / "results" / "budgets.json")


def main(settings: Settings) -> int:
    """Train, measure, write the curves."""
    torch.set_num_threads(1)
    world = settings.world or settings.output / "world"
    if settings.world is None:
        make_toyworld(ToyWorldSettings(identities=settings.identities, seed=settings.seed, images_per_camera=2), world)
    lab = Laboratory(world, settings.height, settings.width, settings.seed, settings.reid_steps, settings.output)
    try:
        for name in settings.systems:
            Curve(lab, SYSTEMS[name], settings).run()
    finally:
        _write_curves(settings)
    return 0


def _write_curves(settings: Settings) -> None:
    """Of whatever was measured in the output, also of a run that is stopped."""
    curves = {file.parent.name: json.loads(file.read_text("utf-8")) for file in settings.output.glob(f"*/{POINTS}")}
    asked = settings.model_dump(mode="json", include={"every", "height", "width", "identities", "reid_steps", "seed"})
    write_json(settings.results, {"settings": asked, "curves": curves, "environment": environment("cpu", 1)})


class Curve:
    """One system's run, and what was measured on its way."""

    def __init__(self, lab: Laboratory, system: System, settings: Settings) -> None:
        self.lab, self.system, self.settings = lab, system, settings
        self.folder = settings.output / system.name
        file = self.folder / POINTS
        self.points: list[dict[str, Any]] = json.loads(file.read_text("utf-8")) if file.is_file() else []
        self.started = time.process_time()

    def run(self) -> None:
        """Train to the budget; a run that was stopped goes on."""
        lab, system = self.lab, self.system
        model = find_recipe(system.recipe)
        recipe = model(model.settings_model.model_validate({**system.settings, "decay_from": 1.0}))
        self.data = {role: lab.train[role] for role in recipe.roles}
        recipe = recipe.fitted(self.data)
        every = max(1, round(system.steps * self.settings.every))
        settings = TrainingSettings(
            steps=round(system.steps * self.settings.budget),
            batch_size=system.batch_size,
            height=lab.height,
            width=lab.width,
            seed=self.settings.seed,
            average_decay=max(system.average_decay, 0.995),
            checkpoint_every=every,
            measure_every=every,
        )
        batches = recipe.batches(self.data, (lab.height, lab.width), settings.seed)
        Training(recipe, batches, self.folder, settings, measure=self._measure).run()

    def _measure(self, training: Training) -> Mapping[str, float]:
        """The figures of now, which go to the file of points too."""
        before = [point for point in self.points if point["step"] < training.step]
        spent = time.process_time() - self.started + (before[-1]["cpu_seconds"] if before else 0.0)
        write_result(training, self.data, {}, LICENCE)
        figures = dict(MEASURES[self.system.gap](self.lab, training.recipe, self.folder).figures)
        point = {"step": training.step, "budget": round(training.step / self.system.steps, 3)}
        self.points = [*before, {**point, "cpu_seconds": round(spent, 1), **figures}]
        write_json(self.folder / POINTS, self.points)
        print(f"{self.system.name}: " + " ".join(f"{name} {value:.3f}" for name, value in figures.items()), flush=True)
        self.started = time.process_time()
        return figures


if __name__ == "__main__":
    run_job(Settings, main)
