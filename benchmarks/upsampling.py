"""How generators double their images: the grid that each way leaves after a short training, and what it costs.

OMP_NUM_THREADS=1 python benchmarks/upsampling.py --output runs/upsampling

Each system of the comparison is trained on drawn people for minutes, once with each way, and measured as the comparison
does it, on people that no training saw. What was measured before in the output is not measured again. ``smoothed`` is
no setting: transposed convolutions behind a binomial filter, as in StyleGAN2, which cost no more than without.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Literal, get_args
from unittest.mock import patch

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from manifests.common.json_text import write_json
from pipeline.common.environment import environment
from pipeline.common.settings import JobSettings, run_job
from pipeline.experiments.comparison.laboratory import Laboratory
from pipeline.experiments.comparison.systems import SYSTEMS
from pipeline.experiments.comparison.trial import RECORD, Trial
from pipeline.generators.recipes import find_recipe
from pipeline.generators.recipes.base import Recipe, Size
from pipeline.generators.trained import load_generator
from pipeline.measures.detail import compare_detail
from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld

BUDGETS = {"cyclegan": 0.25, "camstyle_multidomain": 0.1, "gan_lsro": 0.2, "pix2pix": 0.5, "pngan": 0.12}
"""Share of the comparison's steps that fits into some minutes."""
FIGURES = ("grid", "sharpness", "spectrum_worst", "fid", "pck", "camera_accuracy", "judge_move", "retrieval_source")
TIMED, REPETITIONS = 64, 7


Way = Literal["transposed", "resize", "smoothed"]


class Smooth(nn.Module):
    """The binomial filter (1, 3, 3, 1) down and across, after which nothing repeats every 2 pixels:
    (N, C, H, W) -> (N, C, H - 1, W - 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.kernel = nn.Buffer((taps[:, None] * taps).repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
        return functional.conv2d(padded, self.kernel, groups=len(self.kernel))


@contextmanager
def smoothed(recipe: type[Recipe]) -> Iterator[None]:
    """Inside, the transposed convolutions of the recipe's generators are smoothed (Karras et al., "Analyzing and
    Improving the Image Quality of StyleGAN", CVPR 2020)."""
    build = recipe.build_generator

    def build_smoothed(self: Recipe, size: Size) -> nn.Module:
        network = build(self, size)
        for parent in list(network.modules()):
            for name, layer in list(parent.named_children()):
                if isinstance(layer, nn.ConvTranspose2d):
                    channels, side = (layer.in_channels, layer.out_channels), int(layer.kernel_size[0])
                    # One row and column too many, which the four taps take away.
                    doubled = nn.ConvTranspose2d(*channels, side, stride=2, padding=(side - 3) // 2)
                    setattr(parent, name, nn.Sequential(doubled, Smooth(layer.out_channels)))
        return network

    with patch.object(recipe, "build_generator", build_smoothed):
        yield


class Settings(JobSettings):
    """Train systems with each way of doubling, measure, and write a table."""

    output: Path = Field(default=Path("runs/upsampling"))
    world: Path | None = Field(default=None, description="a drawn world; by default drawn into the output")
    systems: list[str] = Field(default=list(BUDGETS))
    height: int = Field(default=64, ge=32, multiple_of=4)
    width: int = Field(default=32, ge=16, multiple_of=4)
    identities: int = Field(default=300, ge=8)
    reid_steps: int = Field(default=1200, ge=1)
    seed: int = Field(default=0, ge=0)
    results: Path = Field(default=Path(__file__).parent / "results")


def main(settings: Settings) -> int:
    """Train, measure, write ``upsampling.json`` and ``upsampling.md``."""
    torch.set_num_threads(1)
    lab = _laboratory(settings)
    real = lab.tested(400, "target").images
    rows: list[dict[str, Any]] = []
    for name in settings.systems:
        measured = [_measured(lab, name, way, settings) for way in get_args(Way)]
        _add_times(measured, lab, settings)
        rows += measured
    record = {
        "settings": settings.model_dump(mode="json", exclude={"output", "world", "results"}),
        "grid_of_real_halves": round(compare_detail(real[::2], real[1::2]).grid, 2),
        "rows": rows,
        "environment": environment("cpu", 1),
    }
    write_json(settings.results / "upsampling.json", record)
    (settings.results / "upsampling.md").write_text(_table(record), encoding="utf-8")
    print(_table(record))
    return 0


def _laboratory(settings: Settings) -> Laboratory:
    world = settings.world or settings.output / "world"
    if settings.world is None:
        make_toyworld(ToyWorldSettings(identities=settings.identities, seed=settings.seed, images_per_camera=2), world)
    return Laboratory(world, settings.height, settings.width, settings.seed, settings.reid_steps, settings.output)


def _how(name: str, way: Way) -> AbstractContextManager[None]:
    return smoothed(find_recipe(name)) if way == "smoothed" else nullcontext()


def _measured(lab: Laboratory, name: str, way: Way, settings: Settings) -> dict[str, Any]:
    setting = "transposed" if way == "smoothed" else way
    system = replace(SYSTEMS[name], settings={**SYSTEMS[name].settings, "upsampling": setting})
    with _how(name, way):
        Trial(settings.output / way, BUDGETS[name], settings.seed, ()).run(lab, system)
    record = json.loads((settings.output / way / name / RECORD).read_text(encoding="utf-8"))
    figures = {figure: record["figures"][figure] for figure in FIGURES if figure in record["figures"]}
    return {"system": name, "upsampling": way, "steps": record["identity"]["steps"], **figures}


def _add_times(rows: list[dict[str, Any]], lab: Laboratory, settings: Settings) -> None:
    """CPU milliseconds an image of one system's generators, by turns, so that all see the same machine."""
    data = lab.tested(TIMED)
    noise = np.random.default_rng(settings.seed).standard_normal((len(data), 100), np.float32)
    columns: dict[str, Any] = {"source": data.images, "skeleton": data.images, "mask": data.masks, "noise": noise}
    columns["camera"] = np.zeros(len(data), np.int64)
    generators = []
    for row in rows:
        with _how(row["system"], row["upsampling"]):
            generators.append(load_generator(settings.output / row["upsampling"] / row["system"]))
    taken: list[list[float]] = [[] for _ in rows]
    for _ in range(REPETITIONS):
        for generator, times in zip(generators, taken, strict=True):
            started = time.process_time()
            generator.generate(columns)
            times.append(1e3 * (time.process_time() - started) / len(data))
    for row, generator, times in zip(rows, generators, taken, strict=True):
        row |= {"cpu_milliseconds": round(median(times), 3), "precision": generator.precision}


def _table(record: dict[str, Any]) -> str:
    names = ["system", "upsampling", *FIGURES, "cpu_milliseconds"]
    lines = [" | ".join(name.replace("_", " ") for name in names), " | ".join("---" for _ in names)]
    lines += [" | ".join(_cell(row.get(name)) for name in names) for row in record["rows"]]
    size = f"{record['settings']['height']} x {record['settings']['width']}"
    return (
        f"Ways to double an image, in generators trained for minutes on drawn people, {size} pixels, seed "
        f"{record['settings']['seed']}. Grid: decibels by which a pattern of 2 or 4 pixels stands out beside real "
        f"images; of two halves of the real ones {record['grid_of_real_halves']}. Sharpness, spectrum, effects as the "
        "comparison tells them; CPU milliseconds an image, one thread, by turns.\n\n"
        + "".join(f"| {line} |\n" for line in lines)
    )


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    run_job(Settings, main)
