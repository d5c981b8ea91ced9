"""A generator's speed: training steps and images a second by precision and batch size, and the share of the peak.

python benchmarks/generator_speed.py --threads 1

The peak is that of a large square matrix product in the same precision, measured in the same run.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch.utils.flop_counter import FlopCounterMode

from manifests.common.json_text import json_text
from pipeline.common.environment import environment
from pipeline.common.precision import Precision
from pipeline.common.settings import JobSettings, run_job
from pipeline.generators.recipes.ptgan import PTGAN, PTGANSettings
from pipeline.generators.trained import load_generator, save_generator
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.training.data import DomainData, UnpairedDomains

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


class Settings(JobSettings):
    """Measure training and generation of one PTGAN by precision and batch size."""

    ngf: int = Field(default=32, ge=4)
    blocks: int = Field(default=6, ge=1)
    ndf: int = Field(default=32, ge=4)
    skip: bool = Field(default=False)
    height: int = Field(default=128, ge=16, multiple_of=4)
    width: int = Field(default=64, ge=16, multiple_of=4)
    batch_sizes: list[int] = Field(default=[1, 4, 16, 32])
    training_batch_sizes: list[int] = Field(default=[1, 2, 4])
    seconds: float = Field(default=3.0, gt=0, description="of each measurement; the fastest repetition counts")
    threads: int = Field(default=1, ge=1)
    device: str = Field(default="cpu")
    results: Path = Field(default=Path(__file__).parent / "results" / "generator_speed.json")


def main(settings: Settings) -> int:
    """Measure, print a table, write the figures."""
    torch.set_num_threads(settings.threads)
    sizes = {"ngf": settings.ngf, "blocks": settings.blocks, "ndf": settings.ndf, "skip": settings.skip}
    recipe = PTGAN(PTGANSettings.model_validate({**sizes, "upsampling": "resize"}))
    flops = _flops(recipe, settings)
    figures: list[dict[str, object]] = []
    for precision in PRECISIONS:
        peak = _peak(settings, precision)
        for batch in settings.batch_sizes:
            rate = batch / _generation_seconds(recipe, settings, precision, batch)
            figures.append({"what": "generation", "precision": precision, "batch": batch, "images_a_second": rate})
            figures[-1] |= {"gflops": rate * flops / 1e9, "share_of_peak": rate * flops / peak}
            _print(figures[-1])
        for batch in settings.training_batch_sizes:
            seconds = _step_seconds(recipe, settings, precision, batch)
            figures.append({"what": "training", "precision": precision, "batch": batch, "steps_a_second": 1 / seconds})
            figures[-1] |= {"pairs_a_second": batch / seconds}
            _print(figures[-1])
    record = {
        "settings": settings.model_dump(mode="json", exclude={"results"}),
        "gflop_an_image": flops / 1e9,
        "figures": figures,
        "environment": environment(settings.device, settings.threads),
    }
    settings.results.parent.mkdir(parents=True, exist_ok=True)
    settings.results.write_text(json_text(record, indent=2) + "\n", encoding="utf-8")
    return 0


def _flops(recipe: PTGAN, settings: Settings) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        recipe.build_generator((settings.height, settings.width))(torch.zeros(1, 3, settings.height, settings.width))
    return float(counter.get_total_flops())


def _peak(settings: Settings, precision: Precision) -> float:
    dtype, side = getattr(torch, precision), 2048
    left, right = (torch.randn(side, side, device=settings.device).to(dtype) for _ in range(2))
    return 2 * side**3 / _fastest(lambda: torch.mm(left, right), settings)


def _generation_seconds(recipe: PTGAN, settings: Settings, precision: Precision, batch: int) -> float:
    images = np.random.Generator(np.random.Philox(0)).integers(
        0, 256, (batch, settings.height, settings.width, 3), dtype=np.uint8
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generator.safetensors"
        save_generator(
            path, recipe.build_generator((settings.height, settings.width)), recipe, settings.height, settings.width
        )
        generator = load_generator(path, settings.device, precision, batch)
    return _fastest(lambda: generator.translate(images), settings)


def _step_seconds(recipe: PTGAN, settings: Settings, precision: Precision, batch: int) -> float:
    random = np.random.Generator(np.random.Philox(0))
    shape = (16, round(settings.height * 1.117), round(settings.width * 1.117))
    data = DomainData(random.integers(0, 256, (*shape, 3), dtype=np.uint8), random.random(shape) < 0.3)
    loop = TrainingSettings(
        batch_size=batch,
        height=settings.height,
        width=settings.width,
        precision=precision,
        device=settings.device,
    )
    batches = UnpairedDomains(data, data, settings.height, settings.width, 0)
    training = Training(recipe, batches, Path("unused"), loop)
    return _fastest(training.train_step, settings)


def _fastest(work: Callable[[], object], settings: Settings) -> float:
    """Seconds of the fastest repetition after one for warming up: least disturbed by other work on the machine."""
    best, until = float("inf"), None
    while until is None or time.perf_counter() < until:
        started = time.perf_counter()
        work()
        if settings.device.startswith("cuda"):
            torch.cuda.synchronize(settings.device)
        if until is None:
            until = time.perf_counter() + settings.seconds
        else:
            best = min(best, time.perf_counter() - started)
    return best


def _print(row: dict[str, object]) -> None:
    shown = (f"{name} {value:.3g}" if isinstance(value, float) else f"{value}" for name, value in row.items())
    print(" ".join(shown), flush=True)


if __name__ == "__main__":
    run_job(Settings, main)
