"""PTGAN against CycleGAN on the toy world, market-like -> duke-like: same budget, same seed, same data.

python benchmarks/ptgan_vs_cyclegan.py --output runs/ptgan_vs_cyclegan --steps 3000

Draws the world, trains each system, and measures on people that no training saw, with the world's true masks: how
much the person changed, and how far the place moved towards the target domain. ``cyclegan_plain`` is CycleGAN
without its identity mapping: PTGAN less its one term.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from manifests.errors import UserError
from pipeline.generator import load_generator
from pipeline.images import draw_contact_sheet, encode
from pipeline.recipes import find_recipe
from pipeline.settings import JobSettings, run_job
from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld
from pipeline.toyworld_data import load_toyworld
from pipeline.training import Training, TrainingSettings
from pipeline.training_data import DomainData, UnpairedDomains
from pipeline.training_result import write_result
from pipeline.transfer_quality import hide_people, measure_transfer, target_share, train_judge

SYSTEMS: dict[str, tuple[str, dict[str, float]]] = {
    "ptgan": ("ptgan", {}),
    "cyclegan": ("cyclegan", {}),
    "cyclegan_plain": ("cyclegan", {"mapping_weight": 0.0}),
}
RESULTS = Path(__file__).parent / "results"


class Settings(JobSettings):
    """Train PTGAN and CycleGAN on the toy world for the same number of steps and compare what they change."""

    output: Path = Field(default=Path("runs/ptgan_vs_cyclegan"), description="trainings and the world")
    world: Path | None = Field(default=None, description="a toy world that is there; by default one is drawn")
    systems: list[str] = Field(default=["ptgan", "cyclegan"], description=f"which of {', '.join(SYSTEMS)}")
    identities: int = Field(default=400, ge=4, description="of the world drawn, half of them for training")
    steps: int = Field(default=3000, ge=1, description="of each training")
    batch_size: int = Field(default=1, ge=1)
    ngf: int = Field(default=32, ge=4)
    blocks: int = Field(default=6, ge=1)
    ndf: int = Field(default=32, ge=4)
    seed: int = Field(default=0, ge=0)
    average_decay: float = Field(default=0.998, ge=0, lt=1)
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
    train = [load_toyworld(world, domain, ["train"]) for domain in ("market-like", "duke-like")]
    test = [load_toyworld(world, domain, ["query"], limit=400) for domain in ("market-like", "duke-like")]
    judge = train_judge(train[0], train[1], settings.seed)
    shares = [target_share(judge, hide_people(domain)) for domain in test]
    figures: dict[str, Any] = {"judge": {"source_share": shares[0], "target_share": shares[1]}}
    pictures = [test[0].images]
    for system in settings.systems:
        seconds = _train(system, settings, train)
        generated = load_generator(settings.output / system).translate(test[0].images)
        quality = measure_transfer(test[0], generated, test[1], judge)
        figures[system] = {**quality.as_dict(), "training_seconds": seconds}
        pictures.append(generated)
        print(f"{system}: " + " ".join(f"{name} {value:.3f}" for name, value in figures[system].items()), flush=True)
    _write(settings, figures, [*pictures, test[1].images])
    return 0


def _train(system: str, settings: Settings, train: list[DomainData]) -> float:
    name, changed = SYSTEMS[system]
    model = find_recipe(name)
    sizes = {"ngf": settings.ngf, "blocks": settings.blocks, "ndf": settings.ndf, "upsampling": "resize"}
    recipe = model(model.settings_model.model_validate({**sizes, **changed}))
    loop = TrainingSettings(
        steps=settings.steps,
        batch_size=settings.batch_size,
        height=train[0].images.shape[1],
        width=train[0].images.shape[2],
        seed=settings.seed,
        average_decay=settings.average_decay,
    )
    batches = UnpairedDomains(train[0], train[1], loop.height, loop.width, loop.seed)
    training = Training(recipe, batches, settings.output / system, loop)
    started = time.monotonic()
    training.run()
    seconds = time.monotonic() - started
    write_result(training, {"source": train[0], "target": train[1]}, {})
    return seconds


def _write(settings: Settings, figures: dict[str, Any], pictures: list[NDArray[np.uint8]]) -> None:
    settings.results.mkdir(parents=True, exist_ok=True)
    described = settings.model_dump(mode="json", exclude={"output", "world", "results"})
    record = {"settings": described, "figures": figures}
    path = settings.results / "ptgan_vs_cyclegan.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    rows = np.linspace(0, len(pictures[0]) - 1, 12).astype(int)
    last = len(pictures) - 1
    sheet = [[images[row % len(images)] for row in rows] for images in [*pictures[:last], pictures[last]]]
    path.with_suffix(".png").write_bytes(encode(draw_contact_sheet(sheet, 128, 64), "png"))
    print(f"{path} and .png: from top to bottom source, {', '.join(settings.systems)}, real target")


if __name__ == "__main__":
    run_job(Settings, main)
