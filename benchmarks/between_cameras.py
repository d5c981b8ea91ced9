"""Systems between cameras, on directions that all of them were trained for: from finished comparisons of one world.

python jobs/compare_recipes.py --world runs/toyworld --systems camstyle,personflow-cameras --output runs/comparison
python benchmarks/between_cameras.py --world runs/toyworld --comparisons runs/comparison
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from manifests.common.json_text import write_json
from manifests.errors import UserError
from pipeline.common.environment import environment
from pipeline.common.settings import JobSettings, run_job
from pipeline.experiments.comparison.effects import Directions, measure_cameras
from pipeline.experiments.comparison.laboratory import Laboratory
from pipeline.experiments.comparison.systems import SYSTEMS
from pipeline.experiments.comparison.trial import RECORD
from pipeline.generators.trained import FILE_NAME, read_recipe

Record = Mapping[str, Any]
"""What `jobs/compare_recipes.py` writes of a system."""


class Settings(JobSettings):
    """Measure what was trained, nothing is trained here but instruments."""

    world: Path = Field(description="the drawn world of all")
    comparisons: list[Path] = Field(description="outputs of jobs/compare_recipes.py; those of one seed and size")
    reid_steps: int = Field(default=1200, ge=1)
    results: Path = Field(default=Path(__file__).parent / "results" / "between_cameras.json")


def main(settings: Settings) -> int:
    """Measure, and put the figures beside those of other seeds and sizes."""
    torch.set_num_threads(1)
    trained = _trained(settings.comparisons)
    seed, height, width = _shared_of(trained.values())
    directions = _directions(trained.values())
    lab = Laboratory(settings.world, height, width, seed, settings.reid_steps, settings.comparisons[0])
    figures = [_measured(lab, folder, record, directions) for folder, record in trained.items()]
    file = settings.results
    known: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    run = {"directions": sorted(directions), "systems": figures, "environment": environment("cpu", 1)}
    write_json(file, known | {f"seed {seed}, {height} x {width}": run})
    return 0


def _trained(comparisons: Sequence[Path]) -> dict[Path, Record]:
    """The records of systems between cameras, by the folders that they were trained in."""
    files = [file for folder in comparisons for file in sorted(folder.glob(f"*/{RECORD}"))]
    folders = [file.parent for file in files if SYSTEMS[file.parent.name].gap == "cameras"]
    if not folders:
        named = ", ".join(map(str, comparisons))
        raise UserError(f"no system between cameras was measured in {named}: give outputs of jobs/compare_recipes.py")
    return {folder: json.loads((folder / RECORD).read_text("utf-8")) for folder in folders}


def _shared_of(records: Collection[Record]) -> tuple[int, int, int]:
    """Seed, height and width of all."""
    found = {(one["identity"]["seed"], *one["identity"]["size"]) for one in records}
    if len(found) > 1:
        raise UserError(f"comparisons of several seeds or sizes (seed, height, width): {sorted(found)}; give one's")
    return next(iter(found))


def _directions(records: Collection[Record]) -> Directions:
    """Both ways of all pairs of cameras for which every system has a generator; one for all cameras names none."""
    pairs = [{tuple(pair) for pair in record["identity"]["pairs"]} for record in records]
    named = [some for some in pairs if some]
    shared = set.intersection(*named) if named else set()
    if not shared:
        raise UserError("no pair of cameras has a generator of every camstyle: compare camstyle too, on the same pairs")
    return shared | {(second, first) for first, second in shared}


def _measured(lab: Laboratory, folder: Path, record: Record, directions: Directions) -> dict[str, Any]:
    recipe, _ = read_recipe(next(folder.rglob(FILE_NAME)))
    figures = dict(measure_cameras(lab, recipe, folder, directions).figures)
    said = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"{folder.name}, {record['identity']['steps']} steps: {said}", flush=True)
    spent = {"steps": record["identity"]["steps"], "training_seconds": record["training_seconds"]}
    return {"system": folder.name, **spent, "figures": figures}


if __name__ == "__main__":
    run_job(Settings, main)
