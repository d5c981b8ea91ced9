"""Systems between cameras, on directions that all of them were trained for: from finished comparisons of one world.

python jobs/compare_recipes.py --world runs/toyworld --systems camstyle,personflow-cameras --output runs/comparison
python benchmarks/between_cameras.py --world runs/toyworld --comparisons runs/comparison
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from manifests.common.json_text import write_json
from pipeline.common.environment import environment
from pipeline.common.settings import JobSettings, run_job
from pipeline.experiments.comparison.effects import Directions, measure_cameras
from pipeline.experiments.comparison.laboratory import Laboratory
from pipeline.experiments.comparison.systems import SYSTEMS
from pipeline.experiments.comparison.trial import RECORD
from pipeline.generators.recipes import find_recipe


class Settings(JobSettings):
    """Measure what was trained, nothing is trained here but instruments."""

    world: Path = Field(description="the drawn world of all")
    comparisons: list[Path] = Field(description="outputs of jobs/compare_recipes.py; those of one seed and size")
    reid_steps: int = Field(default=1200, ge=1)
    results: Path = Field(default=Path(__file__).parent / "results" / "between_cameras.json")


def main(settings: Settings) -> int:
    """Measure, and put the figures beside those of other seeds and sizes."""
    torch.set_num_threads(1)
    records = [file for folder in settings.comparisons for file in sorted(folder.glob(f"*/{RECORD}"))]
    trained = {file.parent: json.loads(file.read_text("utf-8")) for file in records}
    trained = {folder: record for folder, record in trained.items() if SYSTEMS[folder.name].gap == "cameras"}
    [(seed, height, width)] = {(one["identity"]["seed"], *one["identity"]["size"]) for one in trained.values()}
    lab = Laboratory(settings.world, height, width, seed, settings.reid_steps, settings.comparisons[0])
    directions = _shared(trained.values())
    figures = [_measured(lab, folder, record, directions) for folder, record in trained.items()]
    file = settings.results
    known: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    run = {"directions": sorted(directions), "systems": figures, "environment": environment("cpu", 1)}
    write_json(file, known | {f"seed {seed}, {height} x {width}": run})
    return 0


def _shared(records: Any) -> Directions:
    """Both ways of all pairs of cameras for which every system has a generator; one for all cameras names none."""
    pairs = [{tuple(pair) for pair in record["identity"]["pairs"]} for record in records]
    shared = set.intersection(*(some for some in pairs if some))
    return shared | {(second, first) for first, second in shared}


def _measured(lab: Laboratory, folder: Path, record: Mapping[str, Any], directions: Directions) -> dict[str, Any]:
    system = SYSTEMS[folder.name]
    model = find_recipe(system.recipe)
    recipe = model(model.settings_model.model_validate(dict(system.settings)))
    if system.recipe != "camstyle":
        recipe = recipe.fitted({role: lab.train[role] for role in recipe.roles})
    figures = dict(measure_cameras(lab, recipe, folder, directions).figures)
    said = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"{system.name}, {record['identity']['steps']} steps: {said}", flush=True)
    spent = {"steps": record["identity"]["steps"], "training_seconds": record["training_seconds"]}
    return {"system": system.name, **spent, "figures": figures}


if __name__ == "__main__":
    run_job(Settings, main)
